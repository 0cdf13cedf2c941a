package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/transport"
)

// A session ends in this order, whoever ends it:
//
//  1. markEnded, under its mutex: it takes nothing more, and what it has is dropped,
//     or, of one that was kicked, kept for its client. Only the first caller goes on.
//  2. conclude: nobody finds it any more, by id, user or channel; the events tell.
//  3. farewell: its client is told, where one listens. Where none does, or that
//     fails, it stays among those that part, with a lastNotice for its next connect:
//     takeParting gives it to that, noticeSent knows whether it has left.
//  4. endWith: log and hooks are told.
//  5. sweepParting: who has not come within the grace is forgotten, and what was
//     kept is dropped once it is abandoned.

// An ending is why a session ends.
type ending struct {
	why     transport.Reason
	text    string        // for the client and the application
	refusal *bayeux.Error // for a client that polls, of an end by a limit
	due     bool          // only if its time is up, and nobody came back meanwhile
	at      *expiry       // only if this is still when it expires
	unborn  bool          // only while it is being made
}

// A lastNotice is what the client of a session that has ended is told in answer to
// its next connect: that it was kicked, or which limit was reached.
type lastNotice struct {
	kick    []byte
	refusal *bayeux.Error
	leaving *link // the exchange whose answer is about to say so; nil: none
}

// beyond is an ending by a limit, which it names.
func beyond(limit string, n int, unit string) *ending {
	return &ending{
		why:     transport.Overflow,
		text:    fmt.Sprintf("%s: limit is %d %s", limit, n, unit),
		refusal: &bayeux.Error{Code: 402, Args: []string{limit, strconv.Itoa(n)}, Message: "session_unknown"},
	}
}

// end ends a session, once, for whatever reason.
func (srv *Server) end(s *Session, why transport.Reason) { srv.endWith(s, &ending{why: why}) }

func (srv *Server) endWith(s *Session, x *ending) {
	if srv.conclude(s, x) {
		srv.sessionEnded(s, x)
	}
}

// conclude ends s, and reports whether it did and anybody knows of it. It is
// apart from endWith for what the log takes of the stack.
func (srv *Server) conclude(s *Session, x *ending) bool {
	var (
		left leftovers
		w    wakes
	)
	if !srv.markEnded(s, x, &left, &w) {
		return false
	}
	waits := srv.sessions.remove(s, left.parts)
	srv.users.set(s, "")
	if left.cancel != nil { // who waits for it finds the session nowhere
		left.cancel()
	}
	left.unsubscribe()
	if left.reachable {
		srv.emitEnd(s, left.subs, x)
	}
	s.farewell(&left, x)
	if left.parts && !waits { // what leaves with its held connect has been taken by now
		srv.partFrom(s, func(*Session) bool { return true })
	}
	w.flush(srv)
	return left.reachable
}

// sessionEnded tells log and hooks.
func (srv *Server) sessionEnded(s *Session, x *ending) {
	srv.log.LogAttrs(context.Background(), slog.LevelDebug, "session ended", slog.Any("session", s), slog.String("reason", x.why.String()))
	if f := srv.hooks.SessionClosed; f != nil {
		f(s, x.why)
	}
}

// What is left of a session that has just ended, for who ended it to undo.
type leftovers struct {
	subs      map[string]*subscription
	held      held
	stream    *link
	cancel    context.CancelFunc
	parts     bool // its client has yet to be told, with a later connect
	reachable bool // it had begun
}

func (left *leftovers) unsubscribe() {
	for _, sub := range left.subs {
		sub.channel.unsubscribe(sub)
	}
}

// markEnded ends s for all others. It is false if s has ended already, or may go
// on. What it takes goes by pointers: most sessions end on the stack of their
// own goroutine, which would have to grow for it.
func (srv *Server) markEnded(s *Session, x *ending, left *leftovers, w *wakes) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == gone || x.due && !s.expired(clock.Now()) || x.at != nil && x.at != s.expiry || x.unborn && s.phase != handshaking {
		return false
	}
	left.held = s.takeHeld()
	left.subs, left.stream, left.reachable = s.subs, s.stream, s.phase != handshaking
	s.phase, s.why, s.subs = gone, x.why, nil
	if x.why == transport.Kicked && left.reachable {
		s.tellKicked(&left.held, kickMessage(x.text), w)
	} else {
		s.discard(w)
		if s.lazy != nil {
			s.lazy.Stop() // else it keeps the session until then
		}
		if left.reachable {
			s.tellLimit(&left.held, x.refusal)
		}
	}
	left.parts = s.noticeDue()
	left.cancel = s.cancel
	if s.personal {
		srv.personal.Add(-1)
	}
	s.expiry.stop()
	return true
}

// emitEnd tells the events, when the server has nothing of the session any more.
// Nothing of it comes after: emit sees that it has ended.
func (srv *Server) emitEnd(s *Session, subs map[string]*subscription, x *ending) {
	if !srv.events.Heard() {
		return
	}
	if len(subs) > 0 {
		all := make([]string, 0, len(subs))
		for ch := range subs {
			all = append(all, ch)
		}
		slices.Sort(all)
		srv.events.Tell(Unsubscribed{Session: s, Channels: all, Context: s.Context()})
	}
	srv.events.Tell(SessionRemoved{Session: s, Reason: x.why, Text: x.text})
}

// farewell says goodbye to a client in the way its reason wants.
func (s *Session) farewell(left *leftovers, x *ending) {
	h, stream := &left.held, left.stream
	switch x.why {
	case transport.Kicked:
		if h.link != nil {
			s.sendConnectReplyAsync(h)
		}
	case transport.Normal:
		if h.link != nil {
			h.last = &bayeux.Advice{Reconnect: bayeux.NoReconnect}
			s.sendConnectReplyAsync(h)
		}
	case transport.Expired:
		if h.link != nil { // its client handshakes again at once; without a connect, the next message does it
			h.refusal, h.last = unknownSession(), handshakeAgain(0)
			s.sendConnectReplyAsync(h)
		}
	default:
		switch {
		case h.link == nil:
		case h.refusal != nil:
			s.sendConnectReplyAsync(h)
		default:
			h.link.closeSaying(x.why, x.text)
		}
		if stream != nil && stream != h.link {
			stream.closeSaying(x.why, x.text)
		}
	}
}

// tellLimit has a client that polls told which limit has ended its session, in
// answer to a connect; a stream is closed with it, but one that takes nothing has
// no room for that, and its client is told when it comes back. The caller holds
// mu.
func (s *Session) tellLimit(h *held, refusal *bayeux.Error) {
	switch {
	case refusal == nil:
	case h.link != nil && h.link.peer.Once:
		h.refusal, h.last = refusal, handshakeAgain(0)
	case h.link == nil && s.stream == nil, s.sender != nil && s.sender == s.stream:
		s.parting = &lastNotice{refusal: refusal}
		s.startClock()
	}
}

// tellKicked has the client told with a disconnect that answers no request, and
// with the answer to its connect (docs/protocol.md §3.5): at once where messages
// leave by themselves, else with a connect. The caller holds mu.
func (s *Session) tellKicked(h *held, kick []byte, w *wakes) {
	s.parting = &lastNotice{kick: kick}
	s.startClock()
	switch {
	case h.link != nil:
		s.takeParting(h)
	case s.flows():
		s.stream.add(reply{text: kick, session: s, after: s.out.end()})
		w.claim(s.stream)
		s.parting = nil
	}
}

// takeParting decides about the answer to a connect of a session that has ended: what
// waits leaves first, and with the last of it the client is told. It is false
// if that has happened, or is about to. The caller holds mu.
func (s *Session) takeParting(h *held) bool {
	if !s.noticeDue() {
		return false
	}
	p := s.parting
	h.advise = true
	if !s.flows() && s.out.overflows(s.srv.limits.FrameBytes) {
		return true
	}
	if h.link.peer.Once {
		p.leaving = h.link
	} else {
		s.parted()
	}
	if h.refusal = p.refusal; h.refusal != nil {
		h.last = handshakeAgain(0)
	} else {
		h.kick, h.last = p.kick, &bayeux.Advice{Reconnect: bayeux.NoReconnect}
	}
	return true
}

// noticeDue reports whether the client of a session that has ended is told so with its
// next connect. The caller holds mu.
func (s *Session) noticeDue() bool { return s.parting != nil && s.parting.leaving == nil }

// noticeSent notes whether l took the answer that tells the client of the end: if not,
// the next connect gets it, if there is room for one more to wait for that. The
// caller holds mu.
func (s *Session) noticeSent(l *link, sent bool) {
	switch p := s.parting; {
	case p == nil || p.leaving != l:
	case sent:
		s.parted()
	case !s.srv.sessions.wait(s):
		s.parting = nil
	default:
		p.leaving = nil
		s.startClock()
	}
}

// parted ends that s waits: its client is told, or about to be. The caller holds mu.
func (s *Session) parted() {
	s.parting = nil
	s.srv.sessions.forget(s)
}

// sweepParting lets go of sessions that have ended, whether their clients know or
// not.
func (srv *Server) sweepParting(now func(*Session) bool) {
	for _, s := range srv.sessions.allParting() {
		srv.partFrom(s, now)
	}
}

func (srv *Server) partFrom(s *Session, now func(*Session) bool) {
	var w wakes
	s.mu.Lock()
	if now(s) {
		s.parting = nil
	}
	knows := s.parting == nil
	if s.abandoned() {
		s.discard(&w)
	}
	s.mu.Unlock()
	w.flush(srv)
	if knows {
		srv.sessions.forget(s)
	}
}

func kickMessage(reason string) []byte {
	m := &bayeux.Message{Channel: bayeux.MetaDisconnect, Outcome: bayeux.Succeeded}
	if reason != "" {
		text, _ := json.Marshal(reason) // a string cannot fail
		m.Ext = bayeux.Ext{"reason": text}
	}
	b, _ := codec.AppendMessage(nil, m)
	return b
}
