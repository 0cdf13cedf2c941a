package server

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/negotiation"
	"github.com/gocometd/cometd/transport"
)

// handshake makes a new session (docs/protocol.md §3.1).
func (t *turn) handshake(v *codec.View) {
	m := v.Detach()
	s := newSession(t.srv, t.link)
	t.session, t.ctx = s, nil
	t.link.makes(s)
	done := false
	defer func() {
		if !done { // refused, or user code has panicked
			t.srv.end(s, transport.Forbidden)
			t.session, t.ctx = nil, nil
			t.link.excuse(s)
		}
		t.link.made(s)
	}()
	if err := t.admit(s, m); err != nil {
		t.turnDown(m, s.unlessGivenUp(err), 404, "message_deleted")
		return
	}
	done = true
	t.kind = transport.Handshake
	if !t.link.peer.Once {
		t.link.carry(s)
	}
	t.replyHandshake(s, m)
}

// makes notes that a handshake makes s, so that Close and the sweep find it before it is
// listed, and no stream is closed meanwhile for having no session.
func (l *link) makes(s *Session) {
	s.running.Add(1)
	s.turnAt.Store(int64(clock.Now()))
	l.making.Store(s)
}

// excuse takes the time that was spent on s from that in which a stream may have no
// session: what is left of it is for another handshake.
func (l *link) excuse(s *Session) {
	if since := l.unused.Load(); since != 0 {
		l.unused.CompareAndSwap(since, since+int64(clock.Now())-s.turnAt.Load())
	}
}

// made ends that.
func (l *link) made(s *Session) {
	l.making.Store(nil)
	s.turnAt.Store(0)
	s.running.Add(-1)
}

// unlessGivenUp is err, unless the application has taken longer than Timing.Processing to
// decide about s: what it says then is no reason for the client to stay away.
func (s *Session) unlessGivenUp(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == gone && s.why == transport.Internal {
		return &bayeux.Error{Code: 500, Message: "internal"}
	}
	return err
}

// admit decides about a session and makes it reachable.
func (t *turn) admit(s *Session, m *bayeux.Message) error {
	srv := t.srv
	if srv.draining.Load() {
		return srv.elsewhere()
	}
	if !srv.allowHandshake() {
		srv.limited(limitHandshakeRate, t.link.peer.Addr, nil)
		return busy(limitHandshakeRate+","+strconv.FormatFloat(srv.limits.HandshakeRate, 'g', -1, 64), time.Second)
	}
	if srv.strictHandshake {
		if err := checkHandshake(m, srv.types(), t.link.peer.Type); err != nil {
			return err
		}
	}
	if err := t.incoming(srv.channels.routeByName(m.Channel), m); err != nil {
		return err
	}
	if f := srv.policy.Handshake; f != nil {
		t.wakeOthers()
		if err := f(t.context(), s, m); err != nil {
			return t.refusal(err, m.Channel, 403, "handshake_denied")
		}
	}
	if broken, limit := srv.sessions.add(s, &srv.config); broken != "" {
		srv.limited(broken, t.link.peer.Addr, nil)
		return busy(broken+","+strconv.Itoa(limit), 10*time.Second)
	}
	opened := s.open(t, m.ID)
	if opened {
		srv.sessionBegun(s)
	}
	switch {
	case srv.draining.Load(): // who ends all may have looked for sessions already
		srv.end(s, transport.GoingAway)
		srv.sessions.remove(s, false)
		return srv.elsewhere()
	case !opened: // user code has ended it, before it was listed
		srv.sessions.remove(s, false)
		return &bayeux.Error{Code: 403, Message: "handshake_denied"}
	}
	return nil
}

// sessionBegun tells log and hooks, before what its handshake's extensions do with
// it.
func (srv *Server) sessionBegun(s *Session) {
	srv.log.LogAttrs(context.Background(), slog.LevelDebug, "session added", slog.Any("session", s), slog.String("transport", s.peer.Type))
	if f := srv.hooks.SessionOpened; f != nil {
		f(s)
	}
}

// open begins the session's life with the handshake of that id, and reports false
// if it has ended already.
func (s *Session) open(t *turn, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == gone {
		return false
	}
	s.phase = handshaken
	s.advised = t.link.peer.Type
	s.ids.note(id)
	s.startClock()
	if s.srv.events.Heard() {
		s.srv.events.Tell(SessionAdded{Session: s, Context: t.context()})
	}
	return true
}

func (srv *Server) allowHandshake() bool { return srv.handshakes == nil || srv.handshakes.Allow() }

// busy refuses a handshake that may be tried again after a pause.
func busy(limit string, pause time.Duration) *bayeux.Error {
	return &bayeux.Error{
		Code: 503, Args: strings.Split(limit, ","), Message: "try_again_later",
		Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(pause)},
	}
}

// elsewhere refuses a handshake because the server shuts down.
func (srv *Server) elsewhere() *bayeux.Error {
	e := busy("shutdown", srv.spreadOut())
	e.Advice.Hosts = srv.hosts
	return e
}

// checkHandshake is what the specification asks and the reference does not do.
// Beside our types a handshake may offer the one that it came by: it may have
// come by no HTTP.
func checkHandshake(m *bayeux.Message, ours []string, came string) *bayeux.Error {
	least := cmp.Or(m.MinimumVersion, m.Version)
	if err := negotiation.CheckVersion(m.Version, least); err != nil || m.Version == "" {
		return &bayeux.Error{Code: 400, Args: []string{"version"}, Message: "version_unsupported"}
	}
	if _, ok := negotiation.Choose(m.SupportedConnectionTypes, append(ours, came)); !ok {
		return &bayeux.Error{Code: 405, Args: ours, Message: "no_common_transport"}
	}
	return nil
}

func (t *turn) replyHandshake(s *Session, m *bayeux.Message) {
	r := replyTo(m, bayeux.Succeeded)
	r.ClientID = s.id
	r.Version, r.MinimumVersion = bayeux.Version, bayeux.Version
	r.SupportedConnectionTypes = t.srv.types()
	r.Advice = t.srv.advice(s, &held{link: t.link})
	if !t.srv.handshakeDelivery {
		t.reply(r)
		return
	}
	f := s.takeAll(t.link)
	if n := len(f.events); n > 0 {
		r.Extra = map[string]json.RawMessage{"x-messages": json.RawMessage(strconv.Itoa(n))}
	}
	t.ctx = &callContext{t.link.conn.Context(), t.link.peer, s, f.batch}
	t.reply(r)
	t.ctx = nil
	if f.taken {
		t.srv.stats.delivered.Add(uint64(len(f.events)))
		s.settle(t.link, sent{events: true, ok: true})
		t.replies = append(t.replies, f.events...)
	}
}

// takeAll takes whatever waits, to go with the handshake's reply. If that is
// lost, so is the session, which its client does not know.
func (s *Session) takeAll(l *link) (f flight) {
	s.mu.Lock()
	if s.out.waiting() {
		f.events, f.taken = s.out.take(nil, none, none), true
		s.sender = l
		s.out.batch++
		f.batch = s.out.batch
		s.out.carries(f.batch, true)
	}
	filter := s.out.filter
	s.mu.Unlock()
	if filter != nil && f.taken {
		f.events = s.srv.filter(s, filter, f.events)
	}
	return f
}

// disconnect ends the session at its client's wish (docs/protocol.md §3.5).
func (t *turn) disconnect(m *bayeux.Message) {
	t.reply(replyTo(m, bayeux.Succeeded))
	s := t.session
	if t.connect != nil { // it came before, in this payload
		t.connect.last = &bayeux.Advice{Reconnect: bayeux.NoReconnect}
	}
	if t.link.peer.Once {
		t.srv.end(s, transport.Normal)
		return
	}
	// On a stream the held connect's answer goes with this payload's.
	s.mu.Lock()
	h := s.takeHeld()
	s.mu.Unlock()
	t.srv.end(s, transport.Normal)
	h.last = &bayeux.Advice{Reconnect: bayeux.NoReconnect}
	switch h.link {
	case nil:
	case t.link:
		t.add(t.srv.connectReply(s, &h))
	default: // it has moved to polling meanwhile
		s.sendConnectReplyAsync(&h)
	}
}
