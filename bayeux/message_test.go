package bayeux

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T, text string) *Message {
	t.Helper()
	m := new(Message)
	require.NoError(t, json.Unmarshal([]byte(text), m))
	return m
}

func write(t *testing.T, m *Message) string {
	t.Helper()
	b, err := json.Marshal(m)
	require.NoError(t, err)
	return string(b)
}

func TestFailureSurvivesEncoding(t *testing.T) {
	assert.Equal(t, `{"channel":"/a","successful":false}`, write(t, &Message{Channel: "/a", Outcome: Failed}))
	assert.Equal(t, `{"channel":"/a","successful":true}`, write(t, &Message{Channel: "/a", Outcome: Succeeded}))
	assert.Equal(t, `{"channel":"/a"}`, write(t, &Message{Channel: "/a"}))
	assert.Equal(t, Failed, read(t, `{"successful":false}`).Outcome)
	assert.Equal(t, "none succeeded failed Outcome(7)", fmt.Sprint(NoOutcome, Succeeded, Failed, Outcome(7)))
}

func TestEmptyValuesAreData(t *testing.T) {
	for _, data := range []string{`null`, `0`, `""`, `false`, `[]`, `{}`} {
		text := `{"channel":"/a","data":` + data + `}`
		m := read(t, text)
		assert.Equal(t, data, string(m.Data))
		assert.Equal(t, text, write(t, m))
		var v any
		assert.NoError(t, m.Decode(&v))
	}
	var v any
	assert.ErrorIs(t, read(t, `{"channel":"/a"}`).Decode(&v), ErrNoData)
	assert.ErrorContains(t, read(t, `{"channel":"/a","data":"x"}`).Decode(new(int)), "bayeux: data on /a: ")
}

func TestSubscriptionKeepsItsShape(t *testing.T) {
	for text, want := range map[string]Subscription{
		`"/a"`:      {Channels: []string{"/a"}},
		`["/a"]`:    {Channels: []string{"/a"}, List: true},
		`["/a",""]`: {Channels: []string{"/a", ""}, List: true},
		`[]`:        {List: true},
		`5`:         {Invalid: json.RawMessage(`5`)},
		`["/a",1]`:  {Invalid: json.RawMessage(`["/a",1]`)},
		`[null]`:    {Invalid: json.RawMessage(`[null]`)},
	} {
		m := read(t, `{"subscription":`+text+`}`)
		assert.Equal(t, want, m.Subscription)
		assert.Equal(t, `{"subscription":`+text+`}`, write(t, m))
	}
	assert.True(t, read(t, `{"subscription":null}`).Subscription.IsZero())
	b, err := json.Marshal(Subscription{})
	assert.NoError(t, err)
	assert.Equal(t, `null`, string(b))
	two := Subscription{Channels: []string{"/a", "/b"}}
	assert.Equal(t, `{"subscription":["/a","/b"]}`, write(t, &Message{Subscription: two}))
}

func TestUnknownFieldsAreKept(t *testing.T) {
	m := read(t, `{"channel":"/a","x-messages":2,"authSuccessful":true,"Channel":"other","none":null}`)
	assert.Equal(t, "/a", m.Channel)
	assert.Equal(t, `2`, string(m.Extra["x-messages"]))
	assert.Equal(t, `{"channel":"/a","Channel":"other","authSuccessful":true,"none":null,"x-messages":2}`, write(t, m))
	assert.Equal(t, `{"x":1}`, write(t, &Message{Extra: map[string]json.RawMessage{"x": []byte(`1`)}}))
}

func TestNumericIDIsItsDigits(t *testing.T) {
	assert.Equal(t, "7", read(t, `{"id":7}`).ID)
	assert.Equal(t, "12345678901234567890", read(t, `{"id":12345678901234567890}`).ID)
	assert.Equal(t, "a", read(t, `{"id":"a"}`).ID)
}

func TestUnmarshalNamesTheFieldOfTheWrongType(t *testing.T) {
	for _, name := range []string{"error", "version", "minimumVersion", "connectionType", "timestamp", "successful", "ext", "supportedConnectionTypes"} {
		err := new(Message).UnmarshalJSON([]byte(`{"` + name + `":[{}]}`))
		assert.ErrorContains(t, err, `"`+name+`"`)
	}
	assert.Error(t, new(Message).UnmarshalJSON([]byte(`[]`)))
}

func TestWhatTheProtocolHasAnAnswerToCountsAsAbsent(t *testing.T) {
	for _, v := range []string{`true`, `[]`, `[{}]`, `{"a":1}`} {
		m := read(t, `{"channel":`+v+`,"id":`+v+`,"clientId":`+v+`,"data":1}`)
		assert.Equal(t, &Message{Data: []byte(`1`)}, m)
	}
	for _, v := range []string{`true`, `5`, `"x"`, `[]`} {
		assert.Nil(t, read(t, `{"advice":`+v+`}`).Advice)
	}
}

func TestMarshalRefusesWhatIsNotJSON(t *testing.T) {
	for _, m := range []*Message{
		{Data: json.RawMessage(`{`)},
		{Ext: Ext{"a": json.RawMessage(`nul`)}},
		{Extra: map[string]json.RawMessage{"a": json.RawMessage(`1 2`)}},
		{Extra: map[string]json.RawMessage{"channel": json.RawMessage(`"/b"`)}},
	} {
		_, err := json.Marshal(m)
		assert.Error(t, err, "%+v", *m)
	}
}

func TestSetDataTakesTextAsItIs(t *testing.T) {
	for _, c := range []struct {
		in   any
		want string
	}{
		{nil, `null`}, {0, `0`}, {"", `""`}, {false, `false`}, {"<&>", `"<&>"`},
		{json.RawMessage(`{"a": 1}`), `{"a": 1}`}, {[]byte(`[1]`), `[1]`},
		{json.RawMessage(nil), `null`}, {map[string]int{"a": 1}, `{"a":1}`},
	} {
		var m Message
		require.NoError(t, m.SetData(c.in))
		assert.Equal(t, c.want, string(m.Data))
	}
	m := Message{Data: json.RawMessage(`1`)}
	assert.Error(t, m.SetData([]byte(`{`)))
	assert.Error(t, m.SetData(make(chan int)))
	assert.Equal(t, `1`, string(m.Data))
	mine := []byte(`[1]`)
	require.NoError(t, m.SetData(mine))
	mine[1] = '2'
	assert.Equal(t, `[1]`, string(m.Data))
}

func TestOnlyFailuresAreErrors(t *testing.T) {
	assert.NoError(t, read(t, `{"channel":"/a","data":1}`).Err())
	assert.NoError(t, read(t, `{"channel":"/a","successful":true,"error":"x"}`).Err())

	err := read(t, `{"channel":"/meta/connect","successful":false,"error":"402::session_unknown","advice":{"reconnect":"handshake"},"ext":{"a":1},"data":5}`).Err()
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, 402, e.Code)
	assert.Equal(t, MetaConnect, e.Channel)
	assert.True(t, e.Advice.ShouldHandshake())
	assert.Equal(t, `1`, string(e.Ext["a"]))
	assert.Equal(t, `5`, string(e.Data))
	assert.ErrorIs(t, err, ErrUnknownSession)
	assert.EqualError(t, (&Message{Channel: "/a", Outcome: Failed}).Err(), "bayeux: /a: refused")
}

func TestRepliesAreToldFromEvents(t *testing.T) {
	for text, want := range map[string]bool{
		`{"channel":"/meta/connect","id":"1","successful":true}`:           true,
		`{"channel":"/meta/subscribe","successful":true}`:                  true,
		`{"channel":"/meta/disconnect","id":"1","successful":true}`:        true,
		`{"channel":"/meta/disconnect","successful":true}`:                 false, // the server ends the session
		`{"channel":"/a","id":"1","successful":true}`:                      true,
		`{"channel":"/a","successful":false,"error":"403::x"}`:             true,
		`{"successful":false,"error":"400::minimum_version_missing"}`:      true,
		`{"channel":"/a","data":1,"id":"1"}`:                               false, // Faye leaves the publisher's id
		`{"channel":"/a"}`:                                                 false, // an event without data
		`{"channel":"/a","data":null}`:                                     false,
		`{"channel":"/service/x","id":"1","successful":true,"data":null}`:  false, // the result of a call
		`{"channel":"/service/x","id":"1","successful":false,"data":[{}]}`: false,
		`{"channel":"/service/x","id":"1","successful":true}`:              true,
	} {
		assert.Equal(t, want, read(t, text).IsReply(), text)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	text := `{"channel":"/a","data":[1],"subscription":["/b"],"advice":{"hosts":["h"],"timeout":1},"ext":{"e":[1]},"supportedConnectionTypes":["x"],"zz":[1]}`
	m := read(t, text)
	before := write(t, m)
	c := m.Clone()
	assert.Equal(t, m, c)
	c.Data[1], c.Subscription.Channels[0], c.Advice.Hosts[0], c.Advice.Timeout = '2', "", "", SpanOf(0)
	c.Ext["e"][1], c.Extra["zz"][1], c.SupportedConnectionTypes[0] = '2', '2', ""
	c.Ext["new"], c.Extra["new"] = nil, nil
	assert.Equal(t, before, write(t, m))
	assert.Equal(t, &Message{}, new(Message).Clone())
}

// A log line shows neither secrets nor what could forge another line.
func TestStringIsSafeToLog(t *testing.T) {
	m := &Message{
		Channel: "/a\n2026 ERROR forged", ID: "1\x1b[31m", ClientID: "secret1", Outcome: Failed, Error: strings.Repeat("x", 500) + "\r",
		Data: json.RawMessage(strings.Repeat(" ", 100000)), Ext: Ext{"token": json.RawMessage(`"secret2"`)},
		Subscription: Subscription{Channels: []string{"/\u202e"}},
	}
	s := m.String()
	assert.NotContains(t, s, "secret")
	assert.Less(t, len(s), 600)
	for _, r := range s {
		assert.True(t, r >= ' ' && r < 0x7f || r == '…', "%q", r)
	}
	assert.Equal(t, slog.StringValue(s), m.LogValue())
	assert.Equal(t, `/meta/subscribe id=4 subscription=/a,/b succeeded`,
		(&Message{Channel: MetaSubscribe, ID: "4", Subscription: Subscription{Channels: []string{"/a", "/b"}}, Outcome: Succeeded}).String())
	assert.Equal(t, `/a data="{\"x\":1}" (7 bytes)`, (&Message{Channel: "/a", Data: json.RawMessage(`{"x":1}`)}).String())
}

func TestExtDecodeTellsMissingFromBad(t *testing.T) {
	var e Ext
	var n int
	ok, err := e.Decode("ack", &n)
	assert.False(t, ok)
	assert.NoError(t, err)
	require.NoError(t, e.Set("ack", 3))
	ok, err = e.Decode("ack", &n)
	assert.True(t, ok)
	assert.NoError(t, err)
	assert.Equal(t, 3, n)
	var s string
	ok, err = e.Decode("ack", &s)
	assert.True(t, ok)
	assert.ErrorContains(t, err, "ack")
	assert.Error(t, e.Set("bad", make(chan int)))
	assert.Error(t, e.Set("bad", []byte("{")))
	assert.Len(t, e, 1)
}

func TestAdviceIgnoresWhatItCannotUse(t *testing.T) {
	m := read(t, `{"advice":{"timeout":"20000","interval":-1,"maxInterval":1.5,"reconnect":7,"hosts":"h","multiple-clients":1,"callback-polling":{}}}`)
	assert.Equal(t, &Advice{MaxInterval: SpanOf(2 * time.Millisecond)}, m.Advice)
	m = read(t, `{"advice":{"timeout":2e4,"interval":0,"maxInterval":1e300,"reconnect":"none","hosts":["h"],"multiple-clients":true}}`)
	assert.Equal(t, 20*time.Second, m.Advice.Timeout.Or(0))
	assert.Equal(t, time.Duration(0), m.Advice.Interval.Or(time.Hour))
	assert.Positive(t, m.Advice.MaxInterval.Or(0))
	assert.Equal(t, m.Advice.MaxInterval, ParseSpan([]byte("1e99999")))
	assert.Equal(t, Span{}, ParseSpan([]byte("1x")))
	assert.True(t, m.Advice.MultipleClients)
	assert.Equal(t, []string{"h"}, m.Advice.Hosts)
	assert.Equal(t, &Advice{}, read(t, `{"advice":{}}`).Advice)
	assert.Nil(t, read(t, `{"advice":null}`).Advice)
}

func TestAdviceSaysOneThing(t *testing.T) {
	for _, c := range []struct {
		a                      *Advice
		retry, handshake, stop bool
	}{
		{nil, true, false, false},
		{&Advice{}, true, false, false},
		{&Advice{Reconnect: Retry}, true, false, false},
		{&Advice{Reconnect: "later"}, true, false, false},
		{&Advice{Reconnect: HandshakeAgain}, false, true, false},
		{&Advice{Reconnect: NoReconnect}, false, false, true},
	} {
		assert.Equal(t, []bool{c.retry, c.handshake, c.stop}, []bool{c.a.ShouldRetry(), c.a.ShouldHandshake(), c.a.ShouldStop()})
	}
}

func TestAbsentSpanIsNotZero(t *testing.T) {
	assert.Equal(t, time.Minute, Span{}.Or(time.Minute))
	assert.Equal(t, time.Duration(0), SpanOf(0).Or(time.Minute))
	assert.NotEqual(t, Span{}, SpanOf(0))
	assert.Equal(t, SpanOf(2*time.Millisecond), SpanOf(1001*time.Microsecond))
	assert.Equal(t, SpanOf(0), SpanOf(-time.Second))
	for _, s := range []Span{{}, SpanOf(0), SpanOf(time.Hour), SpanOf(1<<63 - 1)} {
		b, err := json.Marshal(s)
		require.NoError(t, err)
		var back Span
		require.NoError(t, json.Unmarshal(b, &back))
		assert.Equal(t, s.Or(-1).Milliseconds(), back.Or(-1).Milliseconds(), "%s", b)
	}
	assert.Equal(t, "absent 20s", Span{}.String()+" "+SpanOf(20*time.Second).String())
}
