package server

import (
	"slices"
	"time"

	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// wakes collects who has something to write, until a payload is processed.
type wakes struct {
	links  []*link    // their token is taken: they must be flushed
	held   []*Session // their connect is to be answered
	doomed []*Session // their outbox was full
	cause  *Session   // the session whose payload caused this, or the only recipient; nil for the server's own publishes
	taken  int        // outboxes that have taken the event that is being broadcast
	full   bool       // all outboxes together are
	gone   []*event   // scratch
	drops  []drop
}

// A drop is messages of one channel that did not fit, or whose session ended.
type drop struct {
	session *Session
	channel string
	n       int
	why     transport.Reason
}

// claim takes l's token, if it is free.
func (w *wakes) claim(l *link) {
	if !l.dirty.Load() && l.dirty.CompareAndSwap(false, true) {
		w.links = append(w.links, l)
	}
}

// forget lets go of what lies in memory that is used again.
func (w *wakes) forget() {
	clear(w.gone[:cap(w.gone)])
	w.cause = nil
}

// flush wakes everybody and forgets them.
func (w *wakes) flush(srv *Server) {
	w.flushBut(srv, nil)
}

// flushBut leaves one session's connect for later.
func (w *wakes) flushBut(srv *Server, own *Session) {
	if len(w.links)+len(w.held) > 0 {
		w.wake(srv, own)
	}
	if w.tells() {
		w.tell(srv)
	}
}

// tells reports whether tell has something to do.
func (w *wakes) tells() bool { return len(w.doomed)+len(w.drops) > 0 || w.full }

// wake is the part of flushBut that runs no user code.
func (w *wakes) wake(srv *Server, own *Session) {
	if len(w.links) > 0 {
		srv.write(w.links...)
	}
	later := w.held[:0]
	for _, s := range w.held {
		if s == own {
			// Others may answer it meanwhile: what they have for it is not to wait
			// for the end of this payload.
			s.mu.Lock()
			s.answering = false
			s.mu.Unlock()
			if len(later) == 0 { // once, however often it was noted since
				later = append(later, s)
			}
			continue
		}
		srv.run(s.answerHeld)
	}
	clear(w.links)
	clear(w.held[len(later):])
	w.links, w.held = w.links[:0], later
}

// tell is the other part, which ends sessions and tells the application.
func (w *wakes) tell(srv *Server) {
	srv.overflowAll(w.doomed)
	for _, d := range w.drops {
		lock.None()
		srv.hooks.Dropped(d.session, d.channel, d.n, d.why)
	}
	if w.full {
		w.full = false
		srv.shed()
	}
	clear(w.doomed)
	clear(w.drops)
	w.doomed, w.drops = w.doomed[:0], w.drops[:0]
}

// flushApart is flush for a caller in whose way user code must not be: it runs on a
// goroutine of its own.
func (w *wakes) flushApart(srv *Server) {
	w.wake(srv, nil)
	if w.tells() {
		rest := *w // else each w would be on the heap, and seldom is there anything to tell
		w.doomed, w.drops, w.full = nil, nil, false
		srv.run(func() { rest.tell(srv) })
	}
}

// endedAtOnce is how many sessions at most end on the goroutine whose payload, or
// publish, filled their outboxes. More are no business of whoever published.
const endedAtOnce = 8

// overflowAll ends sessions whose outbox was full. Where a message was one too many
// for very many, others go first now and then.
func (srv *Server) overflowAll(doomed []*Session) {
	if len(doomed) <= endedAtOnce {
		for _, s := range doomed {
			srv.overflow(s)
		}
		return
	}
	srv.overflowApart(doomed)
}

// overflowApart is overflowAll for a caller in whose way user code must not be.
func (srv *Server) overflowApart(doomed []*Session) {
	if len(doomed) == 0 {
		return
	}
	doomed = slices.Clone(doomed) // which is scratch
	srv.run(func() {
		begun := time.Now()
		for _, s := range doomed {
			srv.overflow(s)
			if time.Since(begun) > taskTurn {
				srv.bell.Wait()
				begun = time.Now()
			}
		}
	})
}

// overflow ends a session whose outbox was full.
func (srv *Server) overflow(s *Session) {
	srv.limited(limitSessionQueue, s.peer.Addr, s)
	n, unit := srv.limits.SessionBytes, "bytes"
	if s.out.crowded() {
		n, unit = srv.limits.SessionMessages, "messages"
	}
	srv.endWith(s, beyond(limitSessionQueue, n, unit))
}

// push queues e for s and notes in w who must be woken. It reports whether
// s takes messages at all.
func (s *Session) push(e *event, o *ChannelOptions, w *wakes) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == gone || s.out.overflown {
		return false
	}
	var fits bool
	w.gone, fits = s.out.push(e, o.Overflow, &s.srv.limits, w.gone[:0])
	if len(w.gone) > 0 {
		s.dropped(w, fits)
	}
	if !fits {
		return true
	}
	w.taken++
	s.brought = s.brought || w.cause == s
	if e.lazy && !s.urgent {
		s.waitLazily(o.Lazy)
		return true
	}
	s.urgent = true
	s.schedule(w)
	return true
}

// dropped counts what push dropped. The caller holds mu.
func (s *Session) dropped(w *wakes, fits bool) {
	s.out.lost += uint64(len(w.gone))
	s.srv.stats.dropped.Add(uint64(len(w.gone)))
	if !fits {
		s.out.overflown = true
		w.doomed = append(w.doomed, s)
	}
	if s.srv.hooks.Dropped == nil {
		return
	}
	for _, e := range w.gone {
		w.drops = append(w.drops, drop{s, e.name(), 1, transport.Overflow})
	}
}

// schedule notes who must write for s now. The caller holds mu.
func (s *Session) schedule(w *wakes) {
	if s.batching > 0 || !s.urgent || !s.out.waiting() || s.sender != nil {
		return // whoever is sending looks again when done
	}
	if l := s.stream; l != nil && !s.onConnectOnly(l) {
		w.claim(l)
		return
	}
	if s.held.link == nil || s.answering {
		return
	}
	if wait := s.laneFree(laneConnect); wait > 0 && s.held.link.peer.Once {
		s.wakeIn(wait)
		return
	}
	s.answering = true
	w.held = append(w.held, s)
}

// wake sees to whatever waits for s.
func (s *Session) wake() {
	var w wakes
	s.mu.Lock()
	s.schedule(&w)
	s.mu.Unlock()
	w.flush(s.srv)
}

// wakeIn wakes s later, unless that is about to happen anyway. The caller
// holds mu.
func (s *Session) wakeIn(d time.Duration) {
	if s.guarding {
		return
	}
	s.guarding = true
	time.AfterFunc(d, func() {
		s.mu.Lock()
		s.guarding = false
		s.mu.Unlock()
		s.wake()
	})
}

// timingLazy is ChannelOptions.Lazy where Timing.Lazy is meant.
const timingLazy = time.Duration(-1)

// waitLazily has lazy messages leave after d at the latest; a negative one is
// Timing.Lazy. The caller holds mu.
func (s *Session) waitLazily(d time.Duration) {
	if d < 0 {
		d = s.srv.timingFor(s.via, s.timing).Lazy
	}
	by := uint32((clock.Now() + d).Milliseconds()) | 1
	if s.lazyBy != 0 && int32(by-s.lazyBy) >= 0 {
		return
	}
	s.lazyBy = by // earlier than before, if this channel is less lazy
	if s.lazy == nil {
		s.lazy = time.AfterFunc(d, s.endLaziness)
	} else {
		s.lazy.Reset(d)
	}
}

// endLaziness makes what waits leave now.
func (s *Session) endLaziness() {
	s.mu.Lock()
	s.lazyBy = 0
	s.urgent = len(s.out.queue) > s.out.kept // also what is being sent, and may have to wait again
	s.mu.Unlock()
	s.wake()
}
