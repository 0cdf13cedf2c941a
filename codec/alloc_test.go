//go:build !race

package codec

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/corpus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The race detector makes sync.Pool forget on purpose, hence the build tag.

func TestParseAllocatesNothing(t *testing.T) {
	for _, d := range corpus.Docs() {
		n := testing.AllocsPerRun(100, func() {
			b, err := Parse(d.B, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
		})
		assert.Zero(t, n, d.Name)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	for _, d := range corpus.Docs() {
		if len(d.B) > kept/2 {
			continue // such a buffer is not kept
		}
		r := bytes.NewReader(d.B)
		n := testing.AllocsPerRun(100, func() {
			r.Reset(d.B)
			b, err := Read(r, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			b.Release()
		})
		assert.Zero(t, n, d.Name)
	}
}

// A batch of ten deliveries: their slice, one slab of messages, one block.
func TestDetachAllocatesPerBatch(t *testing.T) {
	b, err := Parse(corpus.Get("deliver10"), Limits{})
	require.NoError(t, err)
	defer b.Release()
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { b.Detach() }), 3.0)
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { b.Views[0].Detach() }), 2.0)
}

// A payload of nothing but empty names is a list of them, and not all the shorter
// lists on the way there: its message, their slice, one block.
func TestDetachAllocatesALongListOnce(t *testing.T) {
	b, err := Parse([]byte(`[{"channel":"/meta/subscribe","subscription":[`+strings.Repeat(`"",`, 80_000)+`""]}]`), Limits{})
	require.NoError(t, err)
	defer b.Release()
	assert.Len(t, b.Views[0].Detach().Subscription.Channels, 80_001)
	assert.LessOrEqual(t, testing.AllocsPerRun(10, func() { b.Views[0].Detach() }), 3.0)
}

func TestEncodersAllocateNothing(t *testing.T) {
	data, err := Encode(json.RawMessage(`{"user":"x","text":"hello"}`))
	require.NoError(t, err)
	prefix := EventPrefix("/chat/demo")
	replies := detached(t, `[{"id":"1","channel":"/meta/handshake","version":"1.0","minimumVersion":"1.0","successful":true,"clientId":"y1",
		"supportedConnectionTypes":["websocket","long-polling"],"advice":{"reconnect":"retry","interval":0,"timeout":20000},"ext":{"ack":true,"x":1}},
		{"channel":"/meta/subscribe","id":"4","subscription":["/a","/b/*"],"successful":false,"error":"403::denied","x-messages":1},
		{"channel":"/chat/demo","id":"5","data":{"user":"x"}}]`)
	channel, id := []byte("/chat/demo"), []byte("17")
	buf := make([]byte, 0, 4096)
	for name, f := range map[string]func(){
		"AppendEvent":    func() { AppendEvent(buf, "/chat/demo", data) },
		"AppendPrefixed": func() { AppendPrefixed(buf, prefix, data) },
		"AppendAck":      func() { AppendAck(buf, channel, id) },
		"AppendBatch": func() {
			if _, err := AppendBatch(buf, replies...); err != nil {
				t.Fatal(err)
			}
		},
		"AppendMessage": func() {
			if _, err := AppendMessage(buf, &bayeux.Message{Channel: "/a", ID: "1", Outcome: bayeux.Succeeded}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		assert.Zero(t, testing.AllocsPerRun(100, f), name)
	}
}
