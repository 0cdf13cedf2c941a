package server

import (
	"strconv"

	"github.com/gocometd/cometd/bayeux"
)

func (t *turn) mayCreate(name string, m *bayeux.Message, what string) *bayeux.Error {
	srv, s := t.srv, t.session
	if broken, limit := srv.channels.asksToMake(t.maker()); broken != "" {
		return s.limitError(broken, limit)
	}
	if f := srv.policy.Create; f != nil {
		t.wakeOthers()
		if err := f(t.context(), s, name, m); err != nil {
			return t.refusal(err, name, 403, what)
		}
	}
	if r := srv.channels.computeRoute(name); len(r.authorizers) > 0 {
		t.wakeOthers()
		if err := r.authorize(t.context(), s, OpCreate, name); err != nil {
			return t.refusal(err, name, 403, what)
		}
	}
	return nil
}

// createChannel returns the channel of that name, made in the name of s if there is
// none, whatever the limits.
func (srv *Server) createChannel(name string, s *Session) *channel {
	x := maker{}
	if s != nil {
		x = s.maker()
	}
	ch, _, _ := srv.channels.create(srv, name, x)
	return ch
}

// createChannel is that for a message, for which the limits hold.
func (t *turn) createChannel(name string) (*channel, *bayeux.Error) {
	ch, broken, limit := t.srv.channels.create(t.srv, name, t.maker())
	if broken != "" {
		return nil, t.session.limitError(broken, limit)
	}
	return ch, nil
}

// channelFor is the one of the two that is meant: the turn may be nil.
func (srv *Server) channelFor(name string, s *Session, t *turn) (*channel, *bayeux.Error) {
	if t != nil {
		return t.createChannel(name)
	}
	return srv.createChannel(name, s), nil
}

func (s *Session) maker() maker { return maker{session: s.id, addr: s.addr(s.srv.loopbackChannels)} }

func (t *turn) maker() maker {
	x := t.session.maker()
	x.limits = &t.srv.limits
	return x
}

// checkSize applies the server's limits to a legal channel that was written with
// so many bytes.
func (s *Session) checkSize(written int, c bayeux.Channel, code int, what string) *bayeux.Error {
	if l := s.srv.limits.ChannelBytes; exceeds(written, l) {
		s.srv.limited(limitChannelBytes, s.peer.Addr, s)
		return &bayeux.Error{Code: code, Args: []string{limitChannelBytes, strconv.Itoa(l)}, Message: what}
	}
	if l := s.srv.limits.ChannelSegments; exceeds(c.Segments(), l) {
		s.srv.limited(limitChannelSegments, s.peer.Addr, s)
		return &bayeux.Error{Code: code, Args: []string{limitChannelSegments, strconv.Itoa(l)}, Message: what}
	}
	return nil
}

// limitError refuses what would break a limit, and names it.
func (s *Session) limitError(limit string, n int) *bayeux.Error {
	s.srv.limited(limit, s.peer.Addr, s)
	return &bayeux.Error{Code: 429, Args: []string{limit, strconv.Itoa(n)}, Message: "limit_exceeded"}
}
