package server

import (
	"errors"
	"log/slog"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// sent is what was sent for a session, and how that went.
type sent struct {
	events  bool // it may have had some
	connect bool // it answered one
	ok      bool
}

// settle ends what l began to send for s.
func (s *Session) settle(l *link, x sent) {
	var w wakes
	s.mu.Lock()
	s.settleLocked(l, x, &w)
	s.mu.Unlock()
	w.flush(s.srv)
}

// settleLocked is settle for a caller that holds mu.
func (s *Session) settleLocked(l *link, x sent, w *wakes) {
	if x.events {
		if newer := s.held.link; s.out.retain && x.connect && newer != nil && newer != l {
			// Who sends another connect elsewhere has given up this one, or has
			// read its answer already, and then has acknowledged it by now.
			s.out.rewound = true
		}
		s.out.settle(x.ok)
		s.sender = nil
		if s.flown != nil {
			close(s.flown)
			s.flown = nil
		}
		if l.peer.Once {
			s.laneAt = clock.Now()
		}
		s.urgent = s.urgent && s.out.waiting()
		if s.stream != nil && s.stream != l {
			w.claim(s.stream) // its replies and its connect may have waited for these events
		}
	}
	if x.connect {
		if s.answerer == l {
			s.answerer = nil
		}
		s.noticeSent(l, x.ok)
	}
	switch {
	case s.abandoned():
		s.discard(w)
	case x.connect && !s.owesAnswer() && s.phase != gone:
		s.startClock()
	}
	s.schedule(w)
}

// A response is the payload that answers an exchange, with the events that it
// takes along. Whoever prepares it sends it.
type response struct {
	session *Session // nil: of none
	link    *link
	payload transport.Payload
	events  int  // so many, first of all
	taken   bool // whether it may have had some
	connect bool // it answers one
}

// prepare makes the one payload that answers an exchange: events where they may
// go along, then the replies. s is nil if it belongs to no session, h unless the
// payload answers a connect.
func (srv *Server) prepare(s *Session, l *link, kind transport.Kind, replies [][]byte, h *held) response {
	var f flight
	if s != nil {
		f = s.takeFor(l, kind, h)
	}
	if kind == transport.Other && (len(f.events) > 0 || h != nil && (h.kick != nil || h.refusal != nil)) {
		kind = transport.Connect // not for who is gone, to whom it would be lost
	}
	p := transport.Payload{Kind: kind, Messages: append(f.events, replies...), Last: h != nil && h.leaving}
	return response{s, l, p, len(f.events), f.taken, h != nil}
}

// send waits for the network. Who seems to be gone gets the replies alone, if there are
// any: no other way leads to him, as it does for events and connects.
func (r *response) send() {
	l := r.link
	err := l.conn.Send(&r.payload)
	if errors.Is(err, transport.ErrClosed) && r.events > 0 && !r.connect {
		replies := transport.Payload{Messages: r.payload.Messages[r.events:]}
		if l.conn.Send(&replies) == nil {
			l.srv.count(l, &replies, 0)
			r.session.settle(l, sent{events: r.taken})
			return
		}
	}
	if r.session != nil { // first, for whom unsent tells may ask again at once
		r.session.settle(l, sent{events: r.taken, connect: r.connect, ok: err == nil})
	}
	if err != nil {
		l.unsent(err)
		return
	}
	l.srv.count(l, &r.payload, r.events)
}

// A flight is the events that leave with an answer.
type flight struct {
	events [][]byte
	taken  bool
	batch  uint64 // of a handshake's
}

// takeFor takes the events that may leave with an answer.
func (s *Session) takeFor(l *link, kind transport.Kind, h *held) (f flight) {
	s.mu.Lock()
	on := laneOther
	if h != nil {
		on = laneConnect
	} else {
		s.awaitFlight()
	}
	if !(h != nil && h.stray) && s.mayTake(l, kind, on) {
		f.events = s.out.take(nil, s.srv.limits.FrameBytes, none)
		f.taken = true
		s.sender = l
		s.lane = on
		s.brought = false
	}
	if h != nil {
		if !h.stray {
			s.answersOn(l)
		}
		s.out.carries(h.batch, f.taken)
	}
	filter := s.out.filter
	s.mu.Unlock()
	if filter != nil && f.taken {
		f.events = s.srv.filter(s, filter, f.events)
	}
	return f
}

// awaitFlight waits for events that an earlier answer takes along. A client may
// have read that answer, and have asked again on another connection, before the
// goroutine that sent it knows that it has left; what waits for the client now
// would otherwise miss the reply that it belongs to.
// The caller holds mu, and has it again.
func (s *Session) awaitFlight() {
	if s.sender == nil || !s.brought || s.lane == laneConnect || !s.sender.peer.Once || !s.out.waiting() {
		return
	}
	if s.flown == nil {
		s.flown = make(chan struct{})
	}
	flown := s.flown
	s.mu.Unlock()
	select {
	case <-flown:
	case <-time.After(laneGuard):
	}
	s.mu.Lock()
}

// mayTake reports whether events may leave with an answer. The caller holds mu.
func (s *Session) mayTake(l *link, kind transport.Kind, on lane) bool {
	if s.sender != nil || !s.out.waiting() || !s.out.mayLeaveTo(l.peer) || kind == transport.Handshake {
		return false
	}
	if s.laneFree(on) > 0 {
		return false
	}
	return on == laneConnect || s.brought && !s.onConnectOnly(l) && s.out.number == nil && s.stream == nil
}

// filter lets the application see events that are about to leave.
func (srv *Server) filter(s *Session, f func([]*bayeux.Message) []*bayeux.Message, events [][]byte) (left [][]byte) {
	lock.None()
	defer func() {
		if p := recover(); p != nil {
			srv.panicked("outbox filter", p, slog.Any("session", s))
			left = events
		}
	}()
	ms := make([]*bayeux.Message, 0, len(events))
	for _, text := range events {
		m := new(bayeux.Message)
		if err := m.UnmarshalJSON(text); err == nil {
			ms = append(ms, m)
		}
	}
	for _, m := range f(ms) {
		text, err := codec.AppendMessage(nil, m)
		if err != nil {
			srv.logRepeated(slog.LevelError, "message of an outbox filter cannot be encoded", "", slog.String("channel", m.Channel), slog.Any("err", err))
			continue
		}
		left = append(left, text)
	}
	return left
}

// count tells the statistics and hooks about one payload that left.
func (srv *Server) count(l *link, p *transport.Payload, events int) {
	srv.stats.delivered.Add(uint64(events))
	if f := srv.hooks.FrameOut; f != nil {
		f(l.peer.Type, len(p.Messages), p.Len())
	}
}
