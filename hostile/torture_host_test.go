package hostile_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

// What a torture lets a server hold. Its clients are sent some hundred bytes a
// millisecond, and may be away for two seconds: many of them reach the bounds.
const (
	sessionBytes = 64 << 10
	serverBytes  = 512 << 10
)

// What a client sees of the server's time: how long a connect is held, and how
// long its answer may be late.
const (
	held  = 300 * time.Millisecond
	delay = 500 * time.Millisecond
)

// spartan are the options of all servers under torture.
func spartan(grace time.Duration) server.Option {
	return server.Options(
		server.WithExtension(ackserver.New()),
		server.WithLimits(server.Limits{SessionBytes: sessionBytes, ServerBytes: serverBytes, Write: time.Second, Handshake: time.Second, Body: time.Second, HeldPerBrowser: -1}),
		server.WithTiming(server.Timing{Timeout: held, MaxInterval: grace, Sweep: 50 * time.Millisecond}))
}

// A host is a server in this process that is restarted again and again.
type host struct {
	denied atomic.Bool // the policy's mood
	harms  harms

	mu   sync.Mutex
	srv  *server.Server
	hs   *http.Server
	ln   net.Listener
	done chan struct{}
	most int // queued bytes
}

type harms struct{ restarts, graceful, cuts, kicks, moods int }

func (h harms) String() string {
	return fmt.Sprintf("%d restarts (%d graceful), %d cuts, %d kicks, %d changes of policy", h.restarts, h.graceful, h.cuts, h.kicks, h.moods)
}

var busy = &bayeux.Error{Code: 403, Args: []string{"busy"}, Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain}}

// unwanted refuses a subscription: for good, in the session that there is.
var unwanted = &bayeux.Error{Code: 403, Args: []string{"unwanted"}}

func (h *host) start(w *chamber) {
	deny := func(with *bayeux.Error) error {
		if h.denied.Load() {
			return with
		}
		return nil
	}
	srv, err := cometd.NewServer(spartan(w.lost.keeps), alarming,
		server.WithHooks(server.Hooks{SessionClosed: func(s *server.Session, _ transport.Reason) { w.lost.ended(s.ID()) }}),
		server.WithPolicy(server.Policy{
			Handshake: func(context.Context, *server.Session, *bayeux.Message) error { return deny(busy) },
			Subscribe: func(context.Context, *server.Session, string, *bayeux.Message) error { return deny(unwanted) },
			Publish:   func(context.Context, *server.Session, *server.Publication) error { return deny(busy) },
		}))
	require.NoError(w.t, err)
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	hs := &http.Server{Handler: srv, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); hs.Serve(ln) }()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.srv, h.hs, h.ln, h.done = srv, hs, ln, done
}

// drain has the server send clients away, for as long as a restart may take.
func (h *host) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), held)
	defer cancel()
	_ = h.server().Shutdown(ctx) // some are always in the middle of something
}

// succeed has another server take the place of this one, which is shut down as a
// rolling restart does: it may take the time that it needs.
func (h *host) succeed(w *chamber) {
	old, hs, done := h.server(), h.hs, h.done
	h.harms.graceful++
	h.start(w)
	w.bad.Retarget(h.addr())
	w.good.Retarget(h.addr())
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	assert.NoError(w.t, old.Shutdown(ctx))
	hs.Close()
	<-done
	assert.Zero(w.t, old.Stats().Sessions)
}

func (h *host) stop(t *testing.T) {
	srv := h.server()
	srv.Close()
	h.hs.Close()
	<-h.done
	assert.Zero(t, srv.Stats().Sessions)
	assert.Eventually(t, func() bool { return srv.Stats().QueuedBytes == 0 }, long, time.Millisecond, "somebody may still publish")
}

func (h *host) server() *server.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.srv
}

func (h *host) addr() string { return h.ln.Addr().String() }

// harm does one of the things that happen. Towards the end the policy is in a good
// mood: a refusal that is on its way when all calms down would end a subscription, and
// nobody would look any more.
func (h *host) harm(w *chamber, end bool) {
	if end {
		h.denied.Store(false)
	}
	switch n := w.rnd.IntN(100); {
	case n < 3:
		h.harms.restarts++
		if w.rnd.IntN(2) == 0 {
			h.harms.graceful++
			h.drain()
		}
		h.stop(w.t)
		h.start(w)
		w.retarget(h.addr())
	case n < 15:
		h.harms.cuts++
		w.bad.Cut()
	case n < 40:
		h.harms.kicks++
		for s := range h.server().Sessions() {
			if w.rnd.IntN(8) == 0 {
				w.lost.ended(s.ID()) // its client may know before we are back
				s.Kick("torture")
				break
			}
		}
	case n < 60:
		h.harms.moods++
		h.denied.Store(w.rnd.IntN(4) == 0 && !end)
	}
}

func (h *host) bounded(t *testing.T) {
	n := h.server().Stats().QueuedBytes
	h.most = max(h.most, n)
	assert.LessOrEqual(t, n, serverBytes+sessionBytes, "queued in the whole server")
	for s := range h.server().Sessions() {
		assert.LessOrEqual(t, s.Outbox().Bytes(), sessionBytes, "queued for a session")
	}
}

// forgets ends the server, once nothing of its clients is left in it.
func (h *host) forgets(t *testing.T) {
	var now server.Stats
	ok := assert.Eventually(t, func() bool {
		now = h.server().Stats()
		return now.Sessions == 0 && now.Conns == 0 && now.Queued == 0
	}, long, 10*time.Millisecond, "all clients have left")
	if !ok {
		t.Logf("the server has %+v", now)
	}
	t.Logf("at most %d bytes queued", h.most)
	h.stop(t)
}

// weighings is how often the heap is weighed in a torture.
const weighings = 16

// scales weigh the heap while a torture goes on.
type scales struct {
	times       int
	first, last uint64 // the most in the first quarter, and the least in the last
}

// weigh weighs when it is time. It must be called at the end.
func (s *scales) weigh(took, lasts time.Duration) {
	if took < lasts*time.Duration(s.times)/weighings {
		return
	}
	s.times++
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	switch {
	case took < lasts/4:
		s.first = max(s.first, m.HeapAlloc)
	case took >= lasts*3/4 && (s.last == 0 || m.HeapAlloc < s.last):
		s.last = m.HeapAlloc
	}
}

// check fails where the heap has grown all the time: what clients and server hold
// differs from one moment to the next, but the least at the end is no more than
// the most at the beginning.
func (s *scales) check(t *testing.T) {
	const room = 8 << 20
	t.Logf("heap: at most %d KiB in the first quarter, at least %d KiB in the last", s.first>>10, s.last>>10)
	assert.LessOrEqual(t, s.last, s.first+room, "the heap grows")
}
