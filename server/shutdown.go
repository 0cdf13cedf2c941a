package server

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/gocometd/cometd/transport"
)

// Shutdown ends the server gently. It takes no more handshakes (clients are
// told to come again, spread over the time of [WithShutdownSpread]), answers
// the connects that are held, sends what is queued for whoever is there, and
// then is like [Server.Close]. What is published meanwhile may be lost. When
// ctx ends first, what is left is cut off and ctx's error returned. A handler
// must not call it.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	all := s.sessions.all()
	until := make([]uint64, len(all))
	var answers sync.WaitGroup
	for i, x := range all {
		x.mu.Lock()
		until[i] = x.out.end()
		h := x.takeHeld()
		x.mu.Unlock()
		x.endLaziness()
		if h.link != nil {
			answers.Add(1)
			if !s.run(func() { defer answers.Done(); x.answer(h, nil) }) {
				answers.Done()
			}
		}
	}
	answered := make(chan struct{})
	s.run(func() { answers.Wait(); close(answered) })
	err := s.drained(ctx, answered, all, until)
	if closed := s.Close(); closed != nil {
		return closed
	}
	return err
}

// drained waits until what was queued before has left, where it can.
func (s *Server) drained(ctx context.Context, answered <-chan struct{}, all []*Session, until []uint64) error {
	select {
	case <-answered:
	case <-s.closing:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := range all {
		for all[i].leaving(until[i]) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.closing:
				return nil
			case <-tick.C:
			}
		}
	}
	return nil
}

// leaving reports whether one of the first messages is on its way to the
// client, or could be, or the reply to its connect.
func (s *Session) leaving(until uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == nil {
		return s.sender != nil
	}
	return s.due != nil || s.out.base < until && (s.sender != nil || s.out.waiting() && !s.onConnectOnly(s.stream)) ||
		s.stream.owes()
}

// spreadOut is when one client should come back.
func (s *Server) spreadOut() time.Duration {
	if s.spread <= 0 {
		return 0
	}
	few := time.Duration(1+s.sessions.len()) * time.Millisecond // who are few need not wait for each other
	return rand.N(min(s.spread, few)).Round(time.Millisecond)
}

// shed closes the sessions with the most queued, while all outboxes together
// hold more than they may, and makes some room beyond that.
func (s *Server) shed() {
	limit := int64(s.limits.ServerBytes)
	if limit < 0 || s.queued.Load() <= limit || !s.shedding.TryLock() {
		return
	}
	defer s.shedding.Unlock()
	type load struct {
		session *Session
		bytes   int
	}
	var loads []load
	for _, x := range s.sessions.all() {
		loads = append(loads, load{x, x.out.Bytes()})
	}
	slices.SortFunc(loads, func(a, b load) int { return cmp.Compare(b.bytes, a.bytes) })
	for _, l := range loads {
		if s.queued.Load() <= limit-limit/8 {
			return
		}
		s.limited(limitServerBytes, l.session.peer.Addr, l.session)
		s.log.Warn("shedding a session: the server's outboxes are full", slog.Any("session", l.session), slog.Int("bytes", l.bytes))
		s.end(l.session, transport.Overflow)
	}
}
