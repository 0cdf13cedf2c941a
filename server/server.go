package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/internal/hub"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/internal/lull"
	"github.com/gocometd/cometd/transport"
)

// The order of locks stands in internal/lock. Nothing is sent and no user code
// runs while one is held. Session.turn, which is held while user code runs,
// comes before all of them and is taken by nothing that user code can call.

// ErrClosed is returned by calls on a server that was closed.
var ErrClosed = errors.New("server: closed")

// A Server serves Bayeux to any number of clients. Make one with [New], or
// with cometd.NewServer, which brings the transports. It is an http.Handler
// and serves other connections with [Server.ServeConn]. All methods may be
// called from any goroutine.
type Server struct {
	config
	channels registry
	sessions sessionTable
	links    linkTable
	users    userTable
	events   hub.Hub[Event]
	browsers browsers
	conns    connTable
	askers   askers
	burden   burden
	origin   originCheck
	stats    counters
	queued   atomic.Int64             // bytes in all outboxes, and of replies that wait for streams (budget.go)
	sweeps   atomic.Uint32            // so far: the clock of what waits
	shedding lock.Turn[lock.Shedding] // one at a time closes the slowest
	personal atomic.Int32             // sessions with an extension of their own that sees each event
	draining atomic.Bool              // Shutdown or Close has begun

	shards    []*shard
	nextShard atomic.Uint32
	carried   atomic.Uint32 // how often a link has got a session
	bell      lull.Bell     // for what must not wait behind peers: accepting and sweeping

	closing chan struct{}           // closed by Close
	mu      lock.Mutex[lock.Server] // guards closed and serving
	closed  bool
	serving int
	quiet   *sync.Cond // serving fell to zero
}

// New makes a server. It fails for bad options only. It owns a few
// goroutines and pipes, to write to streams and look for expired sessions, until
// [Server.Close] or [Server.Shutdown].
func New(opts ...Option) (*Server, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, closing: make(chan struct{})}
	lull.Shared.Open()
	s.bell.Open()
	s.quiet = sync.NewCond(&s.mu)
	s.channels.init()
	s.channels.rules.configured = c.channels
	s.channels.rules.extensions = c.extensions
	s.sessions.init()
	s.links.all = map[*link]struct{}{}
	s.users.byName = map[string]map[*Session]struct{}{}
	s.events.Init(c.limits.Events, func(n int) Event { return EventsLost{n} })
	s.origin = newOriginCheck(c.origins)
	s.accept.Limited = func(r *http.Request, limit string) { s.limited(limit, r.RemoteAddr, nil) }
	s.run(s.sweep)
	if c.flushDelay == 0 {
		s.startShards()
	}
	for _, e := range c.extensions { // last: it may use the server
		if e.Opened != nil {
			e.Opened(s)
		}
	}
	return s, nil
}

// startShards starts a shard for every two cores: a core that reads keeps one
// that writes busy.
func (srv *Server) startShards() {
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		x := newShard()
		srv.shards = append(srv.shards, x)
		srv.run(func() { x.run(srv.closing) })
	}
}

// ServeConn serves one connection until it ends, and then returns. Use it for
// transports that do not come over HTTP.
func (srv *Server) ServeConn(c transport.Conn) {
	if !srv.enter() {
		c.Close(transport.GoingAway)
		return
	}
	defer srv.leave()
	newLink(srv, c).run()
	if w, ok := c.(transport.Waiter); ok {
		w.Wait() // in here, so that Close waits for it too
	}
}

// Close ends every connection and session at once and returns when nothing of
// the server runs any more. Handlers of the application are waited for, and what
// decides about handshakes: their context is done. A handler must not call it. Again, and after
// [Server.Shutdown], it does nothing and returns [ErrClosed].
func (srv *Server) Close() error {
	srv.mu.Lock()
	if srv.closed {
		srv.mu.Unlock()
		return ErrClosed
	}
	srv.closed = true
	close(srv.closing)
	srv.mu.Unlock()
	srv.draining.Store(true) // a handshake sees it, or is seen below
	for _, x := range srv.sessions.all(nil) {
		srv.end(x, transport.GoingAway)
	}
	srv.sessions.close()
	srv.sweepParting(func(*Session) bool { return true })
	for _, l := range srv.links.snapshot(nil) {
		l.close(transport.GoingAway)
		if x := l.making.Load(); x != nil {
			srv.end(x, transport.GoingAway)
		}
	}
	srv.conns.closeSilent()
	srv.mu.Lock()
	for srv.serving > 0 {
		srv.quiet.Wait()
	}
	srv.mu.Unlock()
	srv.tellTails(true) // also of what has gone wrong while all ended
	srv.bell.Close()
	srv.events.End()
	for _, e := range srv.extensions {
		if e.Closed != nil {
			e.Closed()
		}
	}
	return nil
}

// enter counts a goroutine that Close must wait for. It is false after Close.
func (srv *Server) enter() bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return false
	}
	srv.serving++
	return true
}

func (srv *Server) leave() {
	srv.mu.Lock()
	srv.serving--
	if srv.serving == 0 {
		srv.quiet.Broadcast()
	}
	srv.mu.Unlock()
}

// run runs f on a goroutine of its own that Close waits for. After Close it
// does nothing and is false.
func (srv *Server) run(f func()) bool {
	if !srv.enter() {
		return false
	}
	go func() {
		defer srv.leave()
		f()
	}()
	return true
}

// sweep ends what has lived too long, until Close.
func (srv *Server) sweep() {
	tick := time.NewTicker(srv.timing.Sweep)
	defer tick.Stop()
	var ( // the memory of one sweep serves the next
		sessions []*Session
		links    []*link
		channels []*channel
	)
	for {
		select {
		case <-srv.closing:
			return
		case <-tick.C:
			now := clock.Now()
			sessions = srv.sweepSessions(now, sessions)
			links = srv.sweepLinks(now, links)
			channels = srv.channels.sweep(channels)
			srv.tellTails(false)
			srv.sweeps.Add(1)
			srv.shed()
		}
	}
}

func (srv *Server) sweepSessions(now time.Duration, in []*Session) []*Session {
	all := srv.sessions.all(in)
	long := longTask{begun: time.Now()}
	for _, x := range all {
		if long.shouldYield() {
			srv.bell.Wait()
		}
		switch {
		case x.expired(now):
			srv.endWith(x, &ending{why: transport.Expired, due: true})
		case x.overdue(now):
			srv.logOverdue(x)
			srv.end(x, transport.Expired)
		}
	}
	srv.sweepParting(func(x *Session) bool { return x.late(now) })
	return emptied(all)
}

func (srv *Server) logOverdue(x *Session) {
	srv.logRepeated(slog.LevelWarn, "the application's code takes too long", "", slog.Any("session", x), slog.String("transport", x.Transport()))
}

// sweepLinks closes streams that have carried no session for too long, and ends
// sessions that take too long to be made.
func (srv *Server) sweepLinks(now time.Duration, in []*link) []*link {
	all := srv.links.snapshot(in)
	for _, l := range all {
		if x := l.making.Load(); x != nil && x.overdue(now) && x.unborn() {
			srv.logOverdue(x)
			srv.endWith(x, &ending{why: transport.Internal, unborn: true})
		}
		if limit := srv.limits.Handshake; limit >= 0 && !l.peer.Once && l.useless(now, limit) {
			srv.closeUseless(l)
		}
	}
	return emptied(all)
}

// emptied is the memory of all, for another snapshot.
func emptied[T any](all []T) []T {
	clear(all)
	return all[:0]
}

// closeUseless closes a stream. Only one that never carried a session has
// broken a limit; another is one whose client has said goodbye.
func (srv *Server) closeUseless(l *link) {
	if l.session.Load() != nil {
		l.close(transport.Idle)
		return
	}
	srv.limited(limitHandshake, l.peer.Addr, nil)
	l.closeSaying(transport.Idle, fmt.Sprintf("no handshake within %v", srv.limits.Handshake))
}

// timingFor merges the layers of timing for one session on one transport.
func (srv *Server) timingFor(connectionType string, own Timing) Timing {
	return own.orElse(srv.timings[connectionType]).orElse(srv.timing).settled()
}

// types are the connection types that the handshake reply names.
func (srv *Server) types() []string {
	types := make([]string, len(srv.acceptors))
	for i, a := range srv.acceptors {
		types[i] = a.Type()
	}
	return types
}
