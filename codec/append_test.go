package codec

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAppendMessageWritesEveryField(t *testing.T) {
	m := &bayeux.Message{
		Channel: "/meta/\"x\"", ID: "1", ClientID: "c", Data: json.RawMessage(`{"a": 1}`), Outcome: bayeux.Failed, Error: "402::x\n",
		Subscription: bayeux.Subscription{Channels: []string{"/a"}, List: true},
		Advice: &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(0), Timeout: bayeux.SpanOf(20 * time.Second),
			MaxInterval: bayeux.SpanOf(time.Second), MultipleClients: true, Hosts: []string{"h"}},
		Ext:     bayeux.Ext{"b": json.RawMessage(`2`), "a": json.RawMessage(`1`)},
		Version: "1.0", MinimumVersion: "0.9", SupportedConnectionTypes: []string{"websocket", "long-polling"}, ConnectionType: "websocket",
		Timestamp: "now", Extra: map[string]json.RawMessage{"z": json.RawMessage(`[]`), "y\n": json.RawMessage(`null`)},
	}
	got, err := AppendMessage([]byte("before"), m)
	require.NoError(t, err)
	assert.Equal(t, `before{"channel":"/meta/\"x\"","id":"1","clientId":"c","data":{"a": 1},"successful":false,"error":"402::x\n",`+
		`"subscription":["/a"],"advice":{"reconnect":"retry","interval":0,"timeout":20000,"maxInterval":1000,"multiple-clients":true,"hosts":["h"]},`+
		`"ext":{"a":1,"b":2},"version":"1.0","minimumVersion":"0.9","supportedConnectionTypes":["websocket","long-polling"],`+
		`"connectionType":"websocket","timestamp":"now","y\n":null,"z":[]}`, string(got))
	assert.Equal(t, []*bayeux.Message{m}, detached(t, string(got[len("before"):])))
}

func TestAppendMessageLeavesOutWhatIsAbsent(t *testing.T) {
	for want, m := range map[string]*bayeux.Message{
		`{}`:                              {},
		`{"channel":"/a"}`:                {Channel: "/a"},
		`{"channel":"/a","data":null}`:    {Channel: "/a", Data: json.RawMessage("null")},
		`{"ext":{}}`:                      {Ext: bayeux.Ext{}},
		`{"advice":{}}`:                   {Advice: &bayeux.Advice{}},
		`{"subscription":[]}`:             {Subscription: bayeux.Subscription{List: true}},
		`{"subscription":"/a"}`:           {Subscription: bayeux.Subscription{Channels: []string{"/a"}}},
		`{"subscription":["/a","/b"]}`:    {Subscription: bayeux.Subscription{Channels: []string{"/a", "/b"}}},
		`{"subscription":5}`:              {Subscription: bayeux.Subscription{Invalid: json.RawMessage("5")}},
		`{"successful":true}`:             {Outcome: bayeux.Succeeded},
		`{"zz":1}`:                        {Extra: map[string]json.RawMessage{"zz": json.RawMessage("1")}},
		`{"advice":{"reconnect":"none"}}`: {Advice: &bayeux.Advice{Reconnect: bayeux.NoReconnect}},
	} {
		got, err := AppendMessage(nil, m)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
}

// A message with text that is not JSON is refused, and nothing of it stays in
// the payload.
func TestBadTextDoesNotPoisonAPayload(t *testing.T) {
	good := &bayeux.Message{Channel: "/good", Data: json.RawMessage(`1`)}
	for _, bad := range []*bayeux.Message{
		{Channel: "/a", Data: json.RawMessage(`{`)},
		{Channel: "/a", Data: json.RawMessage(`1},{"channel":"/meta/disconnect"`)},
		{Channel: "/a", Data: json.RawMessage("\"\xff\"")},
		{Channel: "/a", Ext: bayeux.Ext{"x": nil}},
		{Channel: "/a", Ext: bayeux.Ext{"x": json.RawMessage(`1,"clientId":"y"`)}},
		{Channel: "/a", Extra: map[string]json.RawMessage{"x": json.RawMessage(`]`)}},
		{Channel: "/a", Extra: map[string]json.RawMessage{"clientId": json.RawMessage(`"y"`)}},
		{Channel: "/a", Subscription: bayeux.Subscription{Invalid: json.RawMessage(`}`)}},
	} {
		out, err := AppendBatch([]byte("before"), good, bad, good)
		assert.ErrorContains(t, err, `codec: message on "/a": `)
		assert.Equal(t, "before", string(out))
	}
	out, err := AppendBatch(nil)
	assert.NoError(t, err)
	assert.Equal(t, "[]", string(out))
	out, err = AppendBatch(nil, good, good)
	assert.NoError(t, err)
	assert.Equal(t, `[{"channel":"/good","data":1},{"channel":"/good","data":1}]`, string(out))
}

func TestEventsAreTheSameWithAndWithoutPrefix(t *testing.T) {
	data, err := Encode(map[string]int{"a": 1})
	require.NoError(t, err)
	for _, ch := range []string{"/a", "/a\"\n", "/世", "/\xff", "/a-rather-long-channel/with/many/segments"} {
		for _, d := range []Raw{data, {}} {
			want := AppendEvent([]byte("x"), ch, d)
			assert.Equal(t, string(want), string(AppendPrefixed([]byte("x"), EventPrefix(ch), d)))
			assert.True(t, json.Valid(want[1:]), "%s", want)
		}
	}
	assert.Equal(t, `{"channel":"/a","data":{"a":1}}`, string(AppendEvent(nil, "/a", data)))
	assert.Equal(t, `{"channel":"/a"}`, string(AppendEvent(nil, "/a", Raw{})))
}

func TestAckEchoesTheID(t *testing.T) {
	assert.Equal(t, `{"channel":"/a","id":"7","successful":true}`, string(AppendAck(nil, []byte("/a"), []byte("7"))))
	assert.Equal(t, `{"channel":"/a","id":"\"\n","successful":true}`, string(AppendAck(nil, []byte("/a"), []byte("\"\n"))))
	assert.Equal(t, `{"channel":"/a","successful":true}`, string(AppendAck(nil, []byte("/a"), nil)))
}

func TestEncodeTakesEachKindOfValue(t *testing.T) {
	for _, c := range []struct {
		in   any
		want string
	}{
		{nil, `null`}, {0, `0`}, {"", `""`}, {false, `false`}, {Raw{}, `null`},
		{json.RawMessage(" [1, 2] "), ` [1, 2] `}, {[]byte(`{"a":1}`), `{"a":1}`}, {json.RawMessage(nil), `null`}, {[]byte(nil), `null`},
		{"<a href='&'>\u2028", "\"<a href='&'>\u2028\""}, {map[string]any{"r": Raw{[]byte(`[1]`)}, "z": Raw{}}, `{"r":[1],"z":null}`},
		{struct {
			A json.RawMessage `json:"a"`
		}{json.RawMessage(`{"b": 1}`)}, `{"a":{"b":1}}`},
	} {
		for name, j := range map[string]JSON{"Fast": Fast, "Std": Std} {
			r, err := EncodeWith(j, c.in)
			require.NoError(t, err, "%s %v", name, c.in)
			if s, ok := c.in.(string); ok {
				var back string
				require.NoError(t, r.DecodeWith(j, &back))
				assert.Equal(t, s, back)
				assert.NotContains(t, r.String(), `\u003c`)
				continue
			}
			assert.Equal(t, c.want, r.String(), name)
			assert.Equal(t, len(c.want), r.Len())
			assert.Equal(t, c.want, string(r.AppendTo(nil)))
		}
	}
}

func TestEncodeRefusesWhatIsNoJSON(t *testing.T) {
	for _, in := range []any{
		json.RawMessage(`{`), []byte(``), []byte(`1 2`), json.RawMessage("\"\xff\""), make(chan int), math.NaN(),
		panics{}, liar{`{"a"`}, liar{"\"\xff\""}, liar{``}, map[string]any{"x": liar{`1,`}},
		json.RawMessage(nest(maxDepth+1, "[", "", "]")),
	} {
		for _, j := range []JSON{Fast, Std} {
			r, err := EncodeWith(j, in)
			require.Error(t, err, "%T %.20v", in, in)
			assert.True(t, strings.HasPrefix(err.Error(), "codec: "), err)
			assert.True(t, r.IsZero())
		}
	}
	_, err := EncodeWith(liarJSON{}, 1)
	assert.ErrorContains(t, err, "int encoded to bad JSON")
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("mine") }
func (*panics) UnmarshalJSON([]byte) error  { panic("mine") }

// A liar says what it is told to.
type liar struct{ text string }

func (l liar) MarshalJSON() ([]byte, error) { return []byte(l.text), nil }

type liarJSON struct{}

func (liarJSON) Marshal(any) ([]byte, error) { return []byte("}"), nil }
func (liarJSON) Unmarshal([]byte, any) error { return errors.New("no") }

func TestRawIsACopy(t *testing.T) {
	mine := []byte(`[1]`)
	r, err := Encode(mine)
	require.NoError(t, err)
	mine[1] = '2'
	assert.Equal(t, `[1]`, r.String())

	b, err := Parse([]byte(`[{"data":{"a":1}}]`), Limits{})
	require.NoError(t, err)
	kept := b.Views[0].Data.Clone()
	b.Release()
	assert.Equal(t, `{"a":1}`, kept.String())
	assert.True(t, Raw{}.Clone().IsZero())
}

func TestDecodeSaysWhatFailed(t *testing.T) {
	r, err := Encode(map[string]int{"a": 1})
	require.NoError(t, err)
	var v struct{ A int }
	assert.NoError(t, r.Decode(&v))
	assert.Equal(t, 1, v.A)
	assert.ErrorIs(t, Raw{}.Decode(&v), bayeux.ErrNoData)
	var s string
	assert.ErrorContains(t, r.Decode(&s), "codec: decoding into *string: ")
	assert.ErrorContains(t, r.Decode(new(panics)), "panicked: mine")
}
