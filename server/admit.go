package server

import (
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// findSession returns the session that a payload belongs to, judged by its
// first message and by who sends it (docs/protocol.md §8, §11), and lets a
// stream carry it.
func (t *turn) findSession(v *codec.View) *Session {
	l := t.link
	if s := l.session.Load(); s != nil && s.hears(l) {
		if string(v.ClientID) == s.id {
			t.attached = s.attach(l, false)
		}
		return s
	}
	s := t.srv.sessions.find(v.ClientID)
	if s == nil || !s.admitLink(l) {
		return nil
	}
	l.carry(s)
	if !l.peer.Once {
		t.attached = s.attach(l, false)
	}
	return s
}

// carry makes s the session of l: of a stream until another takes its place.
func (l *link) carry(s *Session) {
	if old := l.session.Swap(s); old != nil && old != s {
		old.lost(l)
	}
	l.carries.Store(l.srv.carried.Add(1))
	l.unused.Store(0)
}

// hears reports whether l, which carries s, still may: there is something to be
// said to the client, and l is not of somebody who knew the id alone before the
// client has shown its cookie.
func (s *Session) hears(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (s.phase != gone || s.parting != nil) && s.mayCarry(l)
}

// mayCarry reports whether l may be the way of s. The caller holds mu.
func (s *Session) mayCarry(l *link) bool {
	return !s.bound || s.srv.trustIDs || l.peer.Browser == s.browser
}

// admitLink reports whether l may act as s: over HTTP only with the cookie of
// the handshake, on another socket with the cookie once the client has shown
// that it keeps this one. Who had come with the id alone is out from then on: its stream
// is closed here.
func (s *Session) admitLink(l *link) bool {
	s.mu.Lock()
	ok := s.recognize(l)
	var out *link
	if s.stream != nil && !s.mayCarry(s.stream) {
		out = s.stream
	}
	s.mu.Unlock()
	if out != nil {
		s.lost(out)
		out.close(transport.Replaced)
	}
	return ok
}

// recognize reports whether l is one of the client's, and remembers that the client
// keeps its cookie. The caller holds mu.
func (s *Session) recognize(l *link) bool {
	p := l.peer
	switch {
	case s.phase == gone && s.parting == nil:
		return false
	case s.srv.trustIDs:
		return true
	case p.Browser != "" && p.Browser == s.browser:
		s.bound = true
		return p.Once || !s.srv.handshakePerConn
	case p.Once && p.Browser != "":
		return p.Fresh && p.Type == bayeux.InProcess
	case p.Once:
		return p.Type == bayeux.InProcess || p.Proto == 0
	default: // another cookie is as none: it keeps no thief out, who need not show it
		return !s.bound && !s.srv.handshakePerConn
	}
}

func unknownSession() *bayeux.Error { return &bayeux.Error{Code: 402, Message: "session_unknown"} }
