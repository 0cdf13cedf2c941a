package server

import (
	"maps"
	"slices"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/transport"
)

// takes reports whether the session takes messages on ch: one that has ended
// only the connect that is answered with that.
func (s *Session) takes(ch []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase != gone || s.noticeDue() && string(ch) == bayeux.MetaConnect
}

// unborn reports whether the session is being made, and has not been given up.
func (s *Session) unborn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == handshaking
}

// ended reports whether the session has ended.
func (s *Session) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == gone
}

// attach makes l the stream where events leave, and reports whether it is: unless that
// may not be any more, or the session has moved on. What is still read from a socket
// after its client has taken another, or polled, was sent before: only a connect that is
// newer takes the session back. The caller does not hold mu.
func (s *Session) attach(l *link, back bool) bool {
	s.mu.Lock()
	if s.stream == l {
		s.mu.Unlock()
		return true
	}
	moved := s.newest != 0 && l.olderThan(s.newest)
	if moved && !back || s.phase == gone && !s.noticeDue() || !s.mayCarry(l) {
		s.mu.Unlock()
		return false
	}
	if moved {
		l.carries.Store(s.srv.carried.Add(1)) // the one that it comes back from is the older now
	}
	s.goesOver(l)
	var w wakes
	h := s.held
	if h.link != nil && h.link != l {
		s.takeHeld() // its answer would go to a socket that nobody reads any more
	} else {
		h = held{}
	}
	busy, old := s.sender, s.stream
	s.stream, s.due, s.via = l, nil, l.peer.Type
	if s.answerer != l {
		s.answerer = nil
	}
	s.ensureClock()
	if old != nil {
		w.claim(old) // replies there need no longer wait for events
	}
	s.schedule(&w)
	s.mu.Unlock()
	if h.link != nil && h.link.peer.Once {
		h.link.close(transport.Replaced)
	}
	if busy != nil && busy != l && !busy.peer.Once {
		busy.close(transport.Replaced) // it may be stuck, and with it the events
	}
	w.flush(s.srv)
	return true
}

// goesOver notes that l is the way of the session now. The caller holds mu.
func (s *Session) goesOver(l *link) {
	if s.newest == 0 || !l.olderThan(s.newest) {
		s.newest = l.carries.Load()
	}
}

// olderThan reports whether l got its session before the link of that number. Numbers
// begin again after four thousand millions; those that are compared are near.
func (l *link) olderThan(number uint32) bool { return int32(l.carries.Load()-number) < 0 }

// detach takes the session off its stream, because it polls now, and returns
// the stream if it is sending: it may be stuck, and with it the events. The
// caller holds mu.
func (s *Session) detach(w *wakes) (sending *link) {
	old := s.stream
	if old == nil {
		return nil
	}
	w.claim(old)
	s.stream, s.due = nil, nil
	if s.sender != old {
		return nil
	}
	return old
}

// lost notes that l has ended: what waits stays, and the clock runs.
func (s *Session) lost(l *link) {
	var w wakes
	defer w.flush(s.srv)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.link == l {
		s.takeHeld()
	}
	if s.stream == l {
		s.stream, s.due = nil, nil
	}
	s.ensureClock()
	if s.abandoned() {
		s.discard(&w)
	}
}

// abandoned reports whether nobody will ask for what is left. The caller holds
// mu.
func (s *Session) abandoned() bool {
	return s.phase == gone && (s.why != transport.Kicked || s.parting == nil && s.stream == nil)
}

// discard drops what is left of a session that has ended, and notes in w whom
// to tell. The caller holds mu.
func (s *Session) discard(w *wakes) {
	waited := s.out.discard()
	s.out.lost += uint64(len(waited))
	s.srv.stats.dropped.Add(uint64(len(waited)))
	if s.srv.hooks.Dropped == nil {
		return
	}
	n := map[string]int{}
	for _, e := range waited {
		n[e.name()]++
	}
	for _, ch := range slices.Sorted(maps.Keys(n)) {
		w.drops = append(w.drops, drop{s, ch, n[ch], s.why})
	}
}

// pauseFor is the interval that a client gets which asks for one. Its session
// is kept for so long. The caller holds mu.
func (s *Session) pauseFor(connectionType string, asked time.Duration) bayeux.Span {
	t := s.srv.timingFor(connectionType, s.timing)
	return bayeux.SpanOf(min(asked, max(t.MaxPause, t.Interval)))
}

// startClock sets when the session expires unless its client comes back. The
// caller holds mu.
func (s *Session) startClock() {
	t := s.srv.timingFor(s.via, s.timing)
	s.deadline.Store(int64(clock.Now() + s.pause.Or(t.Interval) + t.MaxInterval))
}

// stopClock stops it until the answer to a connect, which is at hand, has left. The
// caller holds mu.
func (s *Session) stopClock() {
	if s.phase != gone {
		s.deadline.Store(0)
	}
}

// ensureClock starts the clock of a session that has no connect to be
// answered. The caller holds mu.
func (s *Session) ensureClock() {
	if s.phase != handshaking && s.phase != gone && !s.owesAnswer() && s.deadline.Load() == 0 {
		s.startClock()
	}
}

// owesAnswer reports whether a connect is still to be answered, or its answer is on its
// way. The caller holds mu.
func (s *Session) owesAnswer() bool {
	return s.held.link != nil || s.due != nil || s.answerer != nil
}

// answersOn notes that the answer to the newest connect leaves on l. The caller holds mu.
func (s *Session) answersOn(l *link) {
	s.answerer = l
	s.stopClock()
}

// extendClock gives a session whose clock runs its whole grace again.
func (s *Session) extendClock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline.Load() == 0 || s.phase == gone {
		return
	}
	t := s.srv.timingFor(s.via, s.timing)
	next := clock.Now() + t.MaxInterval
	s.deadline.Store(max(int64(next), s.deadline.Load()))
}

func (s *Session) expired(now time.Duration) bool { return s.late(now) && s.running.Load() == 0 }

// late reports whether the grace is over.
func (s *Session) late(now time.Duration) bool {
	d := s.deadline.Load()
	return d != 0 && int64(now) > d
}

// overdue reports whether the application's code takes longer than
// Timing.Processing.
func (s *Session) overdue(now time.Duration) bool {
	if s.running.Load() == 0 {
		return false
	}
	s.mu.Lock()
	limit := s.srv.timingFor(s.via, s.timing).Processing
	s.mu.Unlock()
	over := func(since int64) bool { return limit > 0 && since != 0 && now-time.Duration(since) > limit }
	return over(s.turnAt.Load()) || over(s.connectAt.Load())
}
