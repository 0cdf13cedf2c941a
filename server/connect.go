package server

import (
	"strings"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// held is a connect that waits for its answer (docs/protocol.md §3.2).
type held struct {
	link     *link // nil: there is none
	id       string
	advise   bool           // its reply carries advice
	multiple bool           // another session of the browser is held: poll slowly
	counted  bool           // in the server's limit per browser
	kick     []byte         // says so to the client before the reply
	last     *bayeux.Advice // in place of the usual: the session has ended
	leaving  bool           // its client is told to come to another server
	stray    bool           // a later one has come before it, or its client has moved on
	refusal  *bayeux.Error
	until    time.Time // when it is answered at the latest
	batch    uint64    // the number of its reply
}

// metaConnect processes a connect. Extensions do not see a stray come: it has what
// its client knew before others, and comes over a connection that was given up.
func (t *turn) metaConnect(v *codec.View) {
	s := t.session
	if !t.stray(v) {
		t.meta(v, t.connected)
		return
	}
	t.await()
	m := v.Detach()
	if s.ended() {
		t.refuse(m, unknownSession())
		return
	}
	t.answerLast(&held{link: t.link, id: m.ID, advise: m.Advice != nil && t.link.peer.Once, stray: true})
}

// stray reports whether a connect was overtaken. On a stream, where all comes in order,
// that is one whose session has moved to another connection while its payload was under
// way, or before it, if the ids do not say that it is newer. Such a one takes the session
// back.
func (t *turn) stray(v *codec.View) bool {
	s, l := t.session, t.link
	s.mu.Lock()
	overtaken, moved := s.ids.note(string(v.ID)), s.movedFrom(l)
	s.mu.Unlock()
	switch {
	case l.peer.Once:
		return overtaken
	case !moved:
		return false
	}
	return t.attached || overtaken || !s.attach(l, true)
}

// movedFrom reports whether l is a stream that is not the session's any more. The
// caller holds mu.
func (s *Session) movedFrom(l *link) bool { return !l.peer.Once && s.stream != l && s.phase != gone }

// connected processes a connect that is no stray: it stops the clock, replaces the
// connect that is held, and is held itself or answered with this payload.
func (t *turn) connected(m *bayeux.Message) {
	s := t.session
	h := held{link: t.link, id: m.ID, advise: m.Advice != nil}
	s.mu.Lock()
	if s.phase == gone {
		parts := s.takeParting(&h)
		s.mu.Unlock()
		if parts {
			t.answerLast(&h)
		} else {
			t.refuse(m, unknownSession())
		}
		return
	}
	if s.movedFrom(t.link) { // while an extension looked at it
		s.mu.Unlock()
		h.stray, h.advise = true, false
		t.answerLast(&h)
		return
	}
	old, stuck := s.replaceConnect(t)
	t.holding = s.takeConnect(t, m, &h)
	s.mu.Unlock()

	if h.multiple {
		_, limit := t.srv.limits.heldPerBrowser(t.link.peer.Proto)
		t.srv.limited(limit, t.link.peer.Addr, s)
	}
	for _, l := range [...]*link{old, stuck} {
		if l != nil {
			l.close(transport.Replaced)
		}
	}
	if !t.holding {
		t.answerLast(&h)
	}
}

// replaceConnect stops the clock and returns what the new connect takes the
// place of, for the caller to close: the exchange of the connect that is held,
// and a stream that may be stuck. The caller holds mu.
func (s *Session) replaceConnect(t *turn) (old, stuck *link) {
	s.stopClock()
	s.answerer = nil
	if l := s.takeHeld().link; l != nil && l != t.link && l.peer.Once {
		old = l
	}
	if t.link.peer.Once {
		s.goesOver(t.link)
		s.via = t.link.peer.Type
		s.seen(laneConnect)
		stuck = s.detach(&t.wakes)
	}
	return old, stuck
}

// takeConnect notes what m asks for, and holds h if it can wait. The caller
// holds mu.
func (s *Session) takeConnect(t *turn, m *bayeux.Message, h *held) (holding bool) {
	h.advise = h.advise || s.phase == handshaken || s.advised != t.link.peer.Type
	holding = s.phase == connected && s.mayHold(t, m, h)
	s.phase = connected
	s.pause = bayeux.Span{}
	if m.Advice != nil && !m.Advice.Interval.IsZero() {
		s.pause = s.pauseFor(t.link.peer.Type, m.Advice.Interval.Or(0))
	}
	// A client keeps to the pause that it was advised last, such as one that it had asked
	// for itself, for once, or that of a browser's second session.
	h.advise = h.advise || s.advisedPause != bayeux.SpanOf(s.pause.Or(s.srv.timingFor(t.link.peer.Type, s.timing).Interval))
	if holding {
		s.hold(*h)
		s.schedule(&t.wakes)
	}
	return holding
}

// answerLast has h answered with this payload, last of all.
func (t *turn) answerLast(h *held) {
	if t.connect != nil { // two in one payload
		t.add(t.srv.connectReply(t.session, t.connect))
	}
	t.connect = h
}

// mayHold decides whether a connect waits, and until when. The caller holds mu.
func (s *Session) mayHold(t *turn, m *bayeux.Message, h *held) bool {
	timeout := s.srv.timingFor(t.link.peer.Type, s.timing).Timeout
	if m.Advice != nil {
		timeout = min(timeout, m.Advice.Timeout.Or(timeout))
	}
	if s.srv.draining.Load() {
		timeout = min(timeout, lastHold)
	}
	once := t.link.peer.Once
	waiting := s.urgent && s.out.waiting() && s.sender == nil && s.laneFree(laneConnect) <= 0
	switch {
	case timeout <= 0, once && !t.alone:
		return false
	case waiting && (once || s.onConnectOnly(t.link)):
		return false
	}
	if limit, _ := s.srv.limits.heldPerBrowser(t.link.peer.Proto); once && limit >= 0 {
		if !s.srv.browsers.take(s.browser, limit) {
			h.multiple, h.advise = true, true
			return false
		}
		h.counted = true
	}
	h.until = time.Now().Add(timeout)
	return true
}

// hold parks h. The caller holds mu.
func (s *Session) hold(h held) {
	h.id = strings.Clone(h.id) // it has the whole message's memory with it
	s.held = h
	d := time.Until(h.until)
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.connectTimeout)
		return
	}
	s.timer.Reset(d)
}

// takeHeld returns the held connect, which the caller then answers or drops:
// nobody else will. The caller holds mu.
func (s *Session) takeHeld() held {
	h := s.held
	if h.link != nil {
		s.held = held{}
		s.timer.Stop()
		if h.counted {
			s.srv.browsers.give(s.browser)
		}
	}
	return h
}

// connectTimeout answers a connect whose time is over. A timer that fires late
// finds a newer connect, and leaves it alone.
func (s *Session) connectTimeout() {
	s.srv.run(func() {
		s.mu.Lock()
		if s.held.link == nil || time.Now().Before(s.held.until) {
			s.mu.Unlock()
			return
		}
		h := s.takeHeld()
		s.mu.Unlock()
		s.sendConnectReply(&h)
	})
}

// answerHeld answers the held connect because something waits for it.
func (s *Session) answerHeld() {
	s.mu.Lock()
	s.answering = false
	if s.held.link == nil || !s.out.waiting() || s.sender != nil {
		s.mu.Unlock()
		return
	}
	if wait := s.laneFree(laneConnect); wait > 0 && s.held.link.peer.Once { // another answer was quicker
		s.wakeIn(wait)
		s.mu.Unlock()
		return
	}
	h := s.takeHeld()
	s.mu.Unlock()
	s.sendConnectReply(&h)
}

// sendConnectReply sends the reply to a connect, with the events that go with it.
func (s *Session) sendConnectReply(h *held) {
	if r := s.responseTo(h); r != nil {
		r.send()
	}
}

// sendConnectReplyAsync is sendConnectReply for a caller that the network must not hold up: what
// leaves is decided at once.
func (s *Session) sendConnectReplyAsync(h *held) {
	if r := s.responseTo(h); r != nil && !s.srv.run(r.send) {
		r.send() // the server is closed, and so is the link
	}
}

// responseTo is the answer to h, encoded. It is nil if a stream's writer has it now.
func (s *Session) responseTo(h *held) *response {
	text := s.srv.connectReply(s, h)
	if !h.link.peer.Once {
		s.answerOnStream(h, text)
		return nil
	}
	var replies [][]byte
	for _, r := range [][]byte{h.kick, text} {
		if r != nil {
			replies = append(replies, r)
		}
	}
	r := s.srv.prepare(s, h.link, transport.Connect, replies, h)
	return &r
}

// answerOnStream leaves the answer to the stream's writer.
func (s *Session) answerOnStream(h *held, text []byte) {
	if h.stray {
		if text != nil {
			h.link.add(reply{text: text, session: s})
		}
		s.srv.flush(h.link)
		return
	}
	s.mu.Lock()
	if h.kick != nil {
		h.link.add(reply{text: h.kick, session: s, after: s.out.end()})
	}
	if s.stream == h.link && text != nil {
		s.due, s.dueAt = text, s.out.end()
		s.stopClock()
		s.out.due = h.batch
		if s.onConnectOnly(h.link) {
			s.dueAt = 0 // what does not fit into its frame waits for the next one
		}
	}
	s.ensureClock() // if there is no reply that could start it
	s.mu.Unlock()
	s.srv.flush(h.link)
}

// connectReply encodes the reply to a connect. It is nil if an extension deletes it.
func (srv *Server) connectReply(to *Session, h *held) []byte {
	if h.multiple && h.last == nil && srv.mayNotPoll(to, h.link) {
		h.refusal = &bayeux.Error{Code: 403, Message: "multiple_clients"}
		h.last = &bayeux.Advice{Reconnect: bayeux.NoReconnect, MultipleClients: true}
	}
	r := &bayeux.Message{Channel: bayeux.MetaConnect, ID: h.id, Outcome: bayeux.Succeeded, Advice: h.last}
	if h.refusal != nil {
		r.Outcome, r.Error = bayeux.Failed, h.refusal.Wire()
		srv.refused(h.link.peer, h.refusal)
	}
	if h.last == nil && (h.advise || srv.draining.Load()) {
		r.Advice = srv.advice(to, h)
	}
	h.batch = to.out.nextBatch()
	ctx := &callContext{h.link.conn.Context(), h.link.peer, to, h.batch}
	if srv.outgoing(ctx, to, srv.channels.routeByName(r.Channel), r) != nil {
		return nil
	}
	return srv.encodeReply(r)
}

// mayNotPoll reports whether the second session of a browser is not served at
// all, because there is no pause for it.
func (srv *Server) mayNotPoll(to *Session, l *link) bool {
	to.mu.Lock()
	defer to.mu.Unlock()
	return srv.timingFor(l.peer.Type, to.timing).Multiple == 0
}

// advice is the full triple: clients replace what they had, field by missing
// field, with their defaults (docs/protocol.md §5).
func (srv *Server) advice(to *Session, h *held) *bayeux.Advice {
	to.mu.Lock()
	defer to.mu.Unlock()
	t := srv.timingFor(h.link.peer.Type, to.timing)
	to.advised = h.link.peer.Type
	a := &bayeux.Advice{
		Reconnect: bayeux.Retry,
		Interval:  bayeux.SpanOf(to.pause.Or(t.Interval)),
		Timeout:   bayeux.SpanOf(t.Timeout),
	}
	if srv.adviseMaxInterval {
		a.MaxInterval = bayeux.SpanOf(t.MaxInterval)
	}
	if h.multiple {
		to.pause = bayeux.SpanOf(t.Multiple)
		a.MultipleClients, a.Interval = true, to.pause
	}
	if srv.draining.Load() || to.noticeDue() {
		to.comeAgain(a, h)
	}
	to.advisedPause = a.Interval
	return a
}

// onConnectOnly reports whether events leave with connect replies only. The
// caller holds mu.
func (s *Session) onConnectOnly(l *link) bool { return s.out.onConnect || l.polled }
