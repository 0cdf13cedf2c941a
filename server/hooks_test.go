package server_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

// told collects what hooks are told.
type told struct {
	mu    sync.Mutex
	words []string
	in    map[string]int // messages of frames
	open  int
}

func (x *told) say(word string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.words = append(x.words, word)
}

func (x *told) said() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]string(nil), x.words...)
}

func (x *told) frames(typ string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.in[typ]
}

func (x *told) conns() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.open
}

func (x *told) conn(p *transport.Peer, n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.open += n; p == nil || x.open < 0 {
		panic("a connection without a peer, or closed before it was opened")
	}
}

func (x *told) hooks() server.Hooks {
	return server.Hooks{
		SessionOpened: func(*server.Session) { x.say("opened") },
		SessionClosed: func(_ *server.Session, why transport.Reason) { x.say("closed: " + why.String()) },
		ConnOpened:    func(p *transport.Peer) { x.conn(p, 1) },
		ConnClosed:    func(p *transport.Peer, _ transport.Reason, _ error) { x.conn(p, -1) },
		FrameIn: func(typ string, messages, bytes int) {
			x.mu.Lock()
			defer x.mu.Unlock()
			if bytes > 0 {
				x.in[typ] += messages
			}
		},
	}
}

func TestHooksAreToldOfSessionsConnectionsAndFrames(t *testing.T) {
	for _, typ := range []string{bayeux.WebSocket, bayeux.LongPolling} {
		t.Run(typ, func(t *testing.T) {
			x := &told{in: map[string]int{}}
			w := newRealWorld(t, typ, server.WithHooks(x.hooks()))
			defer w.end()
			c := w.session("/a") // a handshake, two connects, a subscribe
			assert.NotZero(t, x.conns())
			c.send(`{"channel":"/a","id":"1","clientId":"$","data":1}`, `{"channel":"/a","id":"2","clientId":"$","data":2}`)
			c.data(2)
			c.expect("/a", "2")
			assert.GreaterOrEqual(t, x.frames(typ), 6)
			assert.Equal(t, []string{"opened"}, x.said())
			w.Session(c.id).Disconnect()
			c.eventually(func() bool { return len(x.said()) == 2 })
			assert.Equal(t, "closed: "+transport.Kicked.String(), x.said()[1])
			c.cut()
			c.eventually(func() bool { return x.conns() == 0 && w.Stats().Conns == 0 })
		})
	}
}

// A payload that is refused is no frame, and its connection says why it ended.
func TestHooksAreToldWhyAConnectionEnded(t *testing.T) {
	why := make(chan transport.Reason, 10)
	hooks := server.Hooks{
		ConnClosed: func(_ *transport.Peer, r transport.Reason, err error) {
			if err != nil {
				why <- r
			}
		},
		FrameIn: func(string, int, int) { panic("a frame") },
	}
	onSockets(t, func(t *testing.T, w *world) {
		w.client().raw(`{bad`)
		require.Equal(t, transport.BadPayload, <-why)
	}, server.WithHooks(hooks))
}
