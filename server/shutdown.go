package server

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/clock"
)

// Shutdown ends the server gently. It takes no more handshakes (clients are
// told to come again, spread over the time of [WithShutdownSpread], and where,
// see [WithShutdownHosts]), answers the connects that are held, sends what was
// queued before, and then is like [Server.Close]. A client that polls, or gets
// messages with connect replies only, must ask for them: it is advised to do
// so at once, and waited for until it has stayed away for two seconds longer
// than its pause. What is published meanwhile may be lost, and the answer to
// what a client asks over a socket meanwhile. When ctx ends first, what is left
// is cut off and ctx's error returned. A handler must not call it. On a server
// that was closed, and if somebody closes it meanwhile, it returns [ErrClosed].
//
// Advice travels with connect replies. A socket whose client has no connect
// under way just gets the close code 1001; when such a client comes back is up
// to its own backoff.
func (srv *Server) Shutdown(ctx context.Context) error {
	srv.draining.Store(true)
	all := append(srv.sessions.all(nil), srv.sessions.allParting()...)
	rest := make([]outstanding, len(all))
	for i, x := range all {
		rest[i] = x.outstanding()
	}
	begun := clock.Now()
	err := srv.drained(ctx, begun, srv.dismiss(all), rest)
	if err == nil { // who has come back too early is told again
		err = srv.drained(ctx, begun, srv.dismiss(all), rest)
	}
	if closed := srv.Close(); closed != nil {
		return closed
	}
	return err
}

// What is outstanding of a session is what Shutdown waits for: what was there when it
// began, and the answer to the connect that it has dismissed. What a client brings about
// meanwhile is not, or one that asks without end, and takes little, would never let
// it end.
type outstanding struct {
	session *Session
	events  uint64 // so many, from the session's first
	stream  *link
	replies uint32 // of the stream, up to that debt
	answer  []byte // of what was due
}

func (s *Session) outstanding() outstanding {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := outstanding{session: s, events: s.out.end(), stream: s.stream}
	if s.stream != nil {
		x.replies = s.stream.debt()
	}
	return x
}

// noteAnswer adds the answer to a connect that the stream's writer has.
func (x *outstanding) noteAnswer() {
	s := x.session
	s.mu.Lock()
	x.answer = s.due
	s.mu.Unlock()
}

// dismiss answers the connects that are held. answered is closed when that is
// done but for what is left to a stream's writer.
func (srv *Server) dismiss(all []*Session) (answered <-chan struct{}) {
	var answers sync.WaitGroup
	for _, x := range all {
		x.mu.Lock()
		h := x.takeHeld()
		x.mu.Unlock()
		x.endLaziness()
		if h.link != nil {
			answers.Add(1)
			if !srv.run(func() { defer answers.Done(); x.sendConnectReply(&h) }) {
				answers.Done()
			}
		}
	}
	done := make(chan struct{})
	srv.run(func() { answers.Wait(); close(done) })
	return done
}

// drained waits until what was queued before has left, where it can.
func (srv *Server) drained(ctx context.Context, begun time.Duration, answered <-chan struct{}, rest []outstanding) error {
	select {
	case <-answered:
	case <-srv.closing:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := range rest {
		rest[i].noteAnswer()
	}
	for i := range rest {
		for rest[i].leaving(begun) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-srv.closing:
				return nil
			case <-tick.C:
			}
		}
	}
	return nil
}

// leaving reports whether any of it is on its way to the client, or could be.
func (x *outstanding) leaving(begun time.Duration) bool {
	s := x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	waits := s.out.base < x.events && s.out.waiting()
	if s.stream == nil {
		return s.sender != nil || waits && s.awaited(begun)
	}
	answers := len(s.due) > 0 && len(x.answer) > 0 && &s.due[0] == &x.answer[0]
	if answers || s.sender != nil && s.out.base < x.events || s.stream == x.stream && s.stream.owes(x.replies) {
		return true
	}
	return waits && (s.flows() || s.awaited(begun))
}

// flows reports whether messages leave on the stream, without being asked for.
// The caller holds mu.
func (s *Session) flows() bool {
	return s.stream != nil && !s.onConnectOnly(s.stream) && s.out.mayLeaveTo(s.stream.peer)
}

// comingBack is how much longer than its pause a client may take to ask for
// the messages that wait for it while the server shuts down.
const comingBack = 2 * time.Second

// awaited reports whether a client that has to ask for its messages may be
// about to. The caller holds mu.
func (s *Session) awaited(begun time.Duration) bool {
	end := time.Duration(s.deadline.Load())
	if end == 0 {
		return true // it has asked
	}
	t := s.srv.timingFor(s.via, s.timing)
	pause := s.pause.Or(t.Interval)
	seen := max(begun, end-t.MaxInterval-pause)
	// One that has asked for a long pause is not waited for.
	return clock.Now()-seen < comingBack+min(pause, max(t.Interval, s.srv.spread))
}

// lastHold is how long a connect is held while the server shuts down: who comes
// too early finds the server that it is leaving, and must not ask it again and
// again. An interval advised in its place would do as well, but for clients
// that take it for seconds (docs/protocol.md §19).
const lastHold = 100 * time.Millisecond

// comeAgain advises when to come back, and where: at once and here while more
// waits than the next answer takes along. The caller holds mu.
func (s *Session) comeAgain(a *bayeux.Advice, h *held) {
	s.pause = bayeux.SpanOf(0)
	if l := h.link; !(l.peer.Once || s.onConnectOnly(l)) || !s.out.overflows(s.srv.limits.FrameBytes) {
		s.pause = bayeux.SpanOf(s.srv.spreadOut())
		a.Hosts = slices.Clone(s.srv.hosts)
		h.leaving = s.srv.draining.Load()
	}
	a.Interval = s.pause
}

// spreadEach is nearly three times what a client's return costs a core.
const spreadEach = 300 * time.Microsecond

// spreadOut is when one client should come back.
func (srv *Server) spreadOut() time.Duration {
	if srv.spread <= 0 {
		return 0
	}
	few := time.Duration(1+srv.sessions.len()) * spreadEach // who are few need not wait for each other
	return rand.N(min(srv.spread, few)).Round(time.Millisecond)
}
