package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/corpus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// detached reads a payload to messages.
func detached(t testing.TB, payload string) []*bayeux.Message {
	t.Helper()
	b, err := Parse([]byte(payload), Limits{})
	require.NoError(t, err)
	defer b.Release()
	return b.Detach()
}

func TestEachLimitIsNamedAndExact(t *testing.T) {
	for _, c := range []struct {
		limit    string
		l        Limits
		fits, no string
	}{
		{LimitBytes, Limits{Bytes: 4}, `[{}]`, `[{} ]`},
		{LimitMessages, Limits{Messages: 2}, `[{},{}]`, `[{},{},{}]`},
		{LimitDepth, Limits{Depth: 3}, `[{"ext":{}}]`, `[{"ext":{"a":[]}}]`},
		{LimitDepth, Limits{Depth: 3}, `[{"subscription":[]}]`, `[{"subscription":[[]]}]`},
		{LimitDepth, Limits{Depth: 2}, `[{"id":"1"}]`, `[{"supportedConnectionTypes":[]}]`},
		{LimitDepth, Limits{Depth: 1}, `{"id":"1"}`, `[{"id":"1"}]`},
		{LimitDataDepth, Limits{DataDepth: 2}, `[{"data":[[1]]}]`, `[{"data":[[[1]]]}]`},
		{LimitBytes, Limits{}, `[` + strings.Repeat(" ", DefaultBytes-2) + `]`, `[` + strings.Repeat(" ", DefaultBytes-1) + `]`},
		{LimitMessages, Limits{}, `[{}` + strings.Repeat(`,{}`, DefaultMessages-1) + `]`, `[{}` + strings.Repeat(`,{}`, DefaultMessages) + `]`},
		{LimitDataDepth, Limits{}, inData(nest(512, "[", "", "]")), inData(nest(513, "[", "", "]"))},
	} {
		for _, parse := range []func(string, Limits) (*Batch, error){
			func(s string, l Limits) (*Batch, error) { return Parse([]byte(s), l) },
			func(s string, l Limits) (*Batch, error) { return Read(strings.NewReader(s), l) },
			func(s string, l Limits) (*Batch, error) { return Read(iotest.OneByteReader(strings.NewReader(s)), l) },
		} {
			b, err := parse(c.fits, c.l)
			require.NoError(t, err, "%s %.40s", c.limit, c.fits)
			assert.Equal(t, len(c.fits), b.Size())
			b.Release()
			_, err = parse(c.no, c.l)
			var e *Error
			require.ErrorAs(t, err, &e, "%s %.40s", c.limit, c.no)
			assert.Equal(t, c.limit, e.Limit)
			assert.Contains(t, e.Error(), "limit of ")
		}
	}
}

func TestNegativeLimitsBoundNothing(t *testing.T) {
	none := Limits{-1, -1, -1, -1}
	for _, payload := range []string{
		`[` + strings.Repeat(" ", 1<<20) + `]`,
		`[{}` + strings.Repeat(`,{}`, 2000) + `]`,
		inData(nest(100000, "[", "", "]")),
		inData(nest(100000, `{"a":`, "1", "}")),
		`[{"zz":` + nest(100000, "[", "", "]") + `}]`,
	} {
		b, err := Read(strings.NewReader(payload), none)
		require.NoError(t, err)
		b.Detach()
		b.Release()
	}
}

// An Error without a limit is bad JSON, and says where.
func TestBadPayloadsSayWhatAndWhere(t *testing.T) {
	for payload, want := range map[string]string{
		``:                                 "codec: unexpected end of JSON at offset 0",
		`[{"id":"1"`:                       "codec: unexpected end of JSON at offset 10",
		`[{"id":"1]`:                       "codec: unexpected end of JSON at offset 10",
		`[{"id":"1\`:                       "codec: unexpected end of JSON at offset 10",
		`[{"data":tru}]`:                   "codec: unexpected character 't' at offset 9",
		"[{\"a\":\"\x01\"}]":               `codec: unexpected character '\x01' at offset 7`,
		"[{\"a\":\"\xff\"}]":               "codec: invalid UTF-8 or a character outside a string at offset 7",
		`[{"a":"\q"}]`:                     "codec: invalid escape at offset 7",
		`[{}] x`:                           "codec: unexpected character 'x' at offset 5",
		`[1]`:                              "codec: batch holds something else than objects at offset 1",
		`"x"`:                              "codec: payload is neither an array nor an object at offset 0",
		`[{"version":1}]`:                  `codec: field "version" is not a string at offset 12`,
		`[{"successful":1}]`:               `codec: field "successful" is not true or false at offset 15`,
		`[{"id":"1","id":"2"}]`:            `codec: field "id" stands twice at offset 16`,
		`[{"channel":"/\ud800"}]`:          `codec: field "channel" has a lone surrogate at offset 12`,
		`[{"ext":[]}]`:                     `codec: field "ext" is not an object at offset 8`,
		`[{"supportedConnectionTypes":1}]`: `codec: field "supportedConnectionTypes" is not an array of strings at offset 29`,
	} {
		_, err := Parse([]byte(payload), Limits{})
		require.EqualError(t, err, want, "%q", payload)
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Empty(t, e.Limit)
	}
}

func TestReadersOwnErrorIsReturned(t *testing.T) {
	mine := errors.New("mine")
	_, err := Read(io.MultiReader(strings.NewReader(`[{}]`), iotest.ErrReader(mine)), Limits{})
	assert.ErrorIs(t, err, mine)
	_, err = Read(iotest.ErrReader(io.ErrUnexpectedEOF), Limits{})
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = Read(lazy{}, Limits{})
	assert.ErrorIs(t, err, io.ErrNoProgress)
	b, err := Read(iotest.DataErrReader(strings.NewReader(`[{"id":5}]`)), Limits{}) // bytes and io.EOF at once
	require.NoError(t, err)
	assert.Equal(t, "5", string(b.Views[0].ID))
	b.Release()
}

type lazy struct{}

func (lazy) Read([]byte) (int, error) { return 0, nil }

// A reader is not read on once it has broken the limit.
func TestReadStopsAtTheLimit(t *testing.T) {
	large, err := Read(strings.NewReader(`["`+strings.Repeat(" ", 100_000)+`"]`), Limits{}) // its buffer may come again
	require.Error(t, err)
	require.Nil(t, large)
	r := &endless{}
	_, err = Read(r, Limits{Bytes: 1000})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, LimitBytes, e.Limit)
	assert.Equal(t, 1001, r.n)
}

type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.n += len(p)
	return len(p), nil
}

func TestViewsTellMissingFromEmpty(t *testing.T) {
	b, err := Parse([]byte(`[{"channel":"","id":"","data":null},{"channel":null,"id":null},{"id":-1.5e3,"successful":false,"ext":{}}]`), Limits{})
	require.NoError(t, err)
	defer b.Release()
	first, second, third := b.Views[0], b.Views[1], b.Views[2]
	assert.NotNil(t, first.Channel)
	assert.NotNil(t, first.ID)
	assert.Nil(t, first.ClientID)
	assert.Equal(t, "null", first.Data.String())
	assert.Nil(t, second.Channel)
	assert.Nil(t, second.ID)
	assert.True(t, second.Data.IsZero())
	assert.Equal(t, bayeux.NoOutcome, second.Outcome)
	assert.Equal(t, "-1.5e3", string(third.ID))
	assert.Equal(t, bayeux.Failed, third.Outcome)
	assert.Equal(t, "{}", third.Ext.String())
}

func TestEscapesAreUndone(t *testing.T) {
	m := detached(t, `{"cha\u006enel":"/\u00e9\/\ud83d\ude00","id":"\u0031","clientId":"a\\b","successful":true,"err\u006fr":"402::\"x\"\b\f\n\r\t",
		"subscription":["/\u0061"],"adv\u0069ce":{"timeo\u0075t":5},"e\u0078t":{"\u0061":1},"z\u007a":"\u0041"}`)[0]
	assert.Equal(t, "/é/😀", m.Channel)
	assert.Equal(t, "1", m.ID)
	assert.Equal(t, `a\b`, m.ClientID)
	assert.Equal(t, "402::\"x\"\b\f\n\r\t", m.Error)
	assert.Equal(t, []string{"/a"}, m.Subscription.Channels)
	assert.Equal(t, int64(5), m.Advice.Timeout.Or(0).Milliseconds())
	assert.Equal(t, `1`, string(m.Ext["a"]))
	assert.Equal(t, `"\u0041"`, string(m.Extra["zz"]))
}

// What was detached is unmoved by Release, by reuse of the buffer and by what
// other messages' owners do with theirs. Run it with -race.
func TestDetachedMessagesAreTheirOwners(t *testing.T) {
	payload := corpus.Get("mixed100")
	want, ok := oracle(payload)
	require.True(t, ok)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				b, err := Read(bytes.NewReader(payload), Limits{})
				if !assert.NoError(t, err) {
					return
				}
				one := b.Views[7].Detach()
				all := b.Detach()
				b.Release()
				b, _ = Read(strings.NewReader(strings.Repeat(" ", len(payload))), Limits{})
				assert.Nil(t, b)
				assert.Equal(t, want, all)
				assert.Equal(t, want[7], one)
				for _, m := range all[1:] {
					clear(m.Data)
					m.Data = append(m.Data[:0:cap(m.Data)], bytes.Repeat([]byte("x"), cap(m.Data))...)
				}
				assert.Equal(t, want[0], all[0])
				assert.Equal(t, want[7], one)
			}
		})
	}
	wg.Wait()
}

// Many messages share a block of memory, but not more than a small one.
func TestAKeptMessageKeepsLittleElse(t *testing.T) {
	big := `{"channel":"/a","data":"` + strings.Repeat("x", 100000) + `"}`
	small := `{"channel":"/b","data":1}`
	b, err := Parse([]byte(`[`+big+`,`+small+`,`+big+`]`), Limits{})
	require.NoError(t, err)
	defer b.Release()
	d := detacher{names: &b.names, messages: 3, bytes: 200100}
	d.message(&b.Views[0])
	d.message(&b.Views[1])
	assert.LessOrEqual(t, cap(d.block), blockBytes)
}

func TestReleaseTwiceIsHarmless(t *testing.T) {
	b, err := Parse([]byte(`[{"id":"1"}]`), Limits{})
	require.NoError(t, err)
	b.Release()
	assert.NotPanics(t, b.Release)
	assert.Empty(t, b.Views)
}

// Buffers that are larger than most payloads may be do not go back to the pool.
func TestBigBuffersAreLetGo(t *testing.T) {
	for size, keeps := range map[int]bool{DefaultBytes - 1000: true, keptBuffer + 1: false} {
		b, err := Read(strings.NewReader(inData(`"`+strings.Repeat("x", size)+`"`)), Limits{Bytes: -1})
		require.NoError(t, err)
		b.Release()
		assert.Equal(t, keeps, cap(b.buffer) > 0, size)
	}
	b, err := Parse([]byte(`[{}`+strings.Repeat(`,{"id":"\u0041"}`, 5000)+`]`), Limits{Messages: -1})
	require.NoError(t, err)
	b.Release()
	assert.Zero(t, cap(b.parser.views))
}

func TestDetachedAdviceIsAsTheProtocolReadsIt(t *testing.T) {
	for _, text := range []string{
		`{"timeout":"x","interval":-1,"maxInterval":1.5,"reconnect":7,"hosts":"h","multiple-clients":1,"long-polling":{}}`,
		`{"timeout":2e4,"interval":0,"maxInterval":1e300,"reconnect":"none","hosts":["h"],"multiple-clients":true}`,
		`{"hosts":[1]}`, `{"timeout":1,"timeout":"x","hosts":["a"],"hosts":1}`, `{"timeout":null}`, ` { } `,
	} {
		var want bayeux.Advice
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		got := detached(t, `[{"advice":`+text+`}]`)[0].Advice
		assert.Equal(t, &want, got, text)
	}
}
