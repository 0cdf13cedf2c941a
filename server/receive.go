package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// A turn is the processing of one payload: its messages one after the other,
// their replies collected, and everybody to be woken by what they published.
type turn struct {
	srv     *Server
	link    *link
	session *Session // nil until the payload turns out to belong to one
	ctx     context.Context
	alone   bool // a single message
	kind    transport.Kind
	replies [][]byte
	connect *held     // to be answered with this payload, last of all
	holding bool      // the payload is answered later, when its connect is
	keeping []keeping // publishes that the history has under way
	joining []func()  // subscriptions that begin with history
	wakes   wakes
	sending []reply // scratch
}

var turns = sync.Pool{New: func() any { return new(turn) }}

// free keeps t's memory for another payload. Nobody may have t any more.
func (t *turn) free() {
	t.wakes.forget()
	if cap(t.replies) > mostScratch || cap(t.wakes.links) > mostScratch {
		return
	}
	clear(t.replies)
	clear(t.sending)
	*t = turn{replies: t.replies[:0], sending: t.sending[:0], wakes: t.wakes}
	turns.Put(t)
}

// receive processes one payload of l and answers it. A handshake must be alone
// (docs/protocol.md §3.1): whatever comes with it is ignored.
func (l *link) receive(b *codec.Batch) {
	views := b.Views
	for i := range views {
		if string(views[i].Channel) == bayeux.MetaHandshake {
			views = views[i : i+1]
			break
		}
	}
	t := turns.Get().(*turn)
	t.srv, t.link, t.alone = l.srv, l, len(views) == 1
	t.process(views)
	t.finish()
	t.free()
}

// process processes messages in the receive order of their session. The
// session does not expire meanwhile, unless that takes longer than
// Timing.Processing.
func (t *turn) process(views []codec.View) {
	if len(views) == 0 {
		return
	}
	s := t.findSession(&views[0])
	if t.session = s; s != nil {
		s.running.Add(1)
		defer s.running.Add(-1)
		defer s.extendClock() // also for the time that handlers took
		since := &s.connectAt
		if !t.alone || string(views[0].Channel) != bayeux.MetaConnect {
			s.turn.Lock()
			defer s.turn.Unlock()
			since = &s.turnAt
			t.seen()
		}
		since.Store(time.Now().UnixNano())
		defer since.Store(0)
	}
	for i := range views {
		t.message(&views[i])
	}
}

// seen notes that the client has read the answer before, if it polls.
func (t *turn) seen() {
	if s := t.session; t.link.peer.Once {
		s.mu.Lock()
		s.via = t.link.peer.Type
		s.seen(laneOther)
		s.mu.Unlock()
	}
}

// message processes one message. What user code panics with is our peer's
// 500 and the log's.
func (t *turn) message(v *codec.View) {
	before := len(t.replies)
	defer func() {
		if p := recover(); p != nil {
			t.srv.panicked("handler", p, slog.Any("session", t.session))
			t.replies = t.replies[:min(before, len(t.replies))] // await may have taken one out
			t.fail(v, &bayeux.Error{Code: 500, Message: "internal"})
		}
	}()
	if err := t.check(v); err != nil {
		t.fail(v, err)
		return
	}
	switch string(v.Channel) {
	case bayeux.MetaHandshake:
		t.handshake(v)
	case bayeux.MetaConnect:
		t.meta(v, t.connected)
	case bayeux.MetaSubscribe:
		t.meta(v, t.subscribe)
	case bayeux.MetaUnsubscribe:
		t.meta(v, t.unsubscribe)
	case bayeux.MetaDisconnect:
		t.meta(v, t.disconnect)
	default:
		t.publish(v)
	}
}

func (s *Server) panicked(where string, p any, more ...any) {
	s.log.Error("panic in a "+where, append(more, slog.Any("panic", p), slog.String("stack", string(debug.Stack())))...)
}

// recovered is deferred by what the application calls and what runs its code:
// a panic there is logged, and err is what the caller learns.
func (s *Server) recovered(ch string, err *error) {
	if p := recover(); p != nil {
		s.panicked("handler", p, slog.String("channel", ch))
		*err = &bayeux.Error{Code: 500, Channel: ch, Message: "internal"}
	}
}

// check refuses what no later step should see (docs/protocol.md §4, §15).
func (t *turn) check(v *codec.View) *bayeux.Error {
	switch {
	case len(v.Channel) == 0:
		return &bayeux.Error{Code: 400, Message: "channel_missing"}
	case v.ID != nil && !alphanumeric(string(v.ID)):
		return &bayeux.Error{Code: 405, Message: "message_id_invalid"}
	case string(v.Channel) == bayeux.MetaHandshake:
		return nil
	case t.session == nil || string(v.ClientID) != t.session.id || !t.session.takes(v.Channel):
		return unknownSession()
	}
	return nil
}

func unknownSession() *bayeux.Error { return &bayeux.Error{Code: 402, Message: "session_unknown"} }

// findSession returns the session that a payload belongs to, judged by its
// first message and by who sends it (docs/protocol.md §8, §11), and lets a
// stream carry it.
func (t *turn) findSession(v *codec.View) *Session {
	l := t.link
	if s := l.session.Load(); s != nil && s.listens() {
		if string(v.ClientID) == s.id {
			s.attach(l)
		}
		return s
	}
	s := t.srv.sessions.find(v.ClientID)
	if s == nil || !s.accepts(l) {
		return nil
	}
	l.carry(s)
	if !l.peer.Once {
		s.attach(l)
	}
	return s
}

// carry makes s the session of l: of a stream until another takes its place.
func (l *link) carry(s *Session) {
	if old := l.session.Swap(s); old != nil && old != s {
		old.lost(l)
	}
	l.unused.Store(0)
}

// accepts reports whether l may act as s: over HTTP only with the cookie of
// the handshake, on another socket with the cookie once the client has shown
// that it keeps one.
func (s *Session) accepts(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := l.peer
	switch {
	case s.phase == gone && s.parting == nil:
		return false
	case s.srv.trustIDs:
		return true
	case p.Browser != "" && (!p.Fresh || p.Browser == s.browser):
		same := p.Browser == s.browser
		s.bound = s.bound || same
		return same && (p.Once || !s.srv.handshakePerConn)
	case p.Once:
		return p.Type == bayeux.InProcess || p.Browser == "" && p.Proto == 0
	default:
		return !s.bound && !s.srv.handshakePerConn
	}
}

// meta processes a meta message, which all extensions for it see.
func (t *turn) meta(v *codec.View, f func(*bayeux.Message)) {
	t.await()
	m := v.Detach()
	if err := t.incoming(t.srv.channels.routeTo(m.Channel), m); err != nil {
		t.turnDown(m, err, 404, "message_deleted")
		return
	}
	f(m)
}

// fail answers a message with a failure.
func (t *turn) fail(v *codec.View, err *bayeux.Error) { t.refuse(v.Detach(), err) }

// turnDown answers a message as user code wants that returned err.
func (t *turn) turnDown(m *bayeux.Message, err error, code int, what string) {
	if a, ok := errors.AsType[*answer](err); ok {
		r := a.reply.Clone()
		r.Channel, r.ID = m.Channel, m.ID
		if r.Outcome == bayeux.NoOutcome {
			r.Outcome = bayeux.Succeeded
		}
		neverRetry(r)
		t.reply(r)
		return
	}
	t.refuse(m, t.srv.refusal(err, code, what))
}

// neverRetry mends the advice of a handshake that failed: without a session a
// client cannot connect (docs/protocol.md §6, §21).
func neverRetry(r *bayeux.Message) {
	if r.Channel == bayeux.MetaHandshake && r.Outcome == bayeux.Failed && r.Advice != nil && r.Advice.ShouldRetry() {
		r.Advice.Reconnect = bayeux.HandshakeAgain
	}
}

// refuse answers m with a failure and with the advice that is safe to give:
// a client takes any advice as current, so that only handshake and connect
// replies may carry it (docs/protocol.md §21).
func (t *turn) refuse(m *bayeux.Message, err *bayeux.Error) {
	if m.Channel == bayeux.MetaHandshake {
		t.kind = transport.Other
	}
	r := replyTo(m, bayeux.Failed)
	r.Error, r.Advice, r.Ext = err.Wire(), err.Advice.Clone(), maps.Clone(err.Ext)
	if r.Advice == nil {
		r.Advice = t.adviceFor(m.Channel, err.Code)
	}
	neverRetry(r)
	if f := t.srv.hooks.Refused; f != nil {
		t.settle()
		f(t.link.peer, err)
	}
	t.reply(r)
}

// adviceFor is the advice of a refusal that brings none.
func (t *turn) adviceFor(ch string, code int) *bayeux.Advice {
	switch {
	case code == 402 && (ch == bayeux.MetaConnect || ch == bayeux.MetaHandshake || t.srv.simpleClients):
		return handshakeAgain(0)
	case ch == bayeux.MetaHandshake && code == 500:
		return handshakeAgain(5 * time.Second) // our fault, and perhaps mended soon
	case ch == bayeux.MetaHandshake:
		return &bayeux.Advice{Reconnect: bayeux.NoReconnect}
	}
	return nil
}

func handshakeAgain(pause time.Duration) *bayeux.Advice {
	return &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(pause)}
}

func replyTo(m *bayeux.Message, o bayeux.Outcome) *bayeux.Message {
	r := &bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: o}
	if m.Channel == bayeux.MetaSubscribe || m.Channel == bayeux.MetaUnsubscribe {
		r.Subscription = m.Subscription
	}
	return r
}

// reply runs the outgoing extensions over r and encodes it.
func (t *turn) reply(r *bayeux.Message) { t.add(t.srv.encodeReply(t.context(), t.session, r)) }

// add adds an encoded reply, unless an extension has deleted it.
func (t *turn) add(text []byte) {
	if text != nil {
		t.replies = append(t.replies, text)
	}
}

// encodeReply is nil for a reply that an extension deleted.
func (s *Server) encodeReply(ctx context.Context, to *Session, r *bayeux.Message) []byte {
	if to != nil && s.outgoing(ctx, to, s.channels.routeTo(r.Channel), r) != nil {
		return nil
	}
	const usual = 128 // bytes; those of a handshake are more
	text, err := codec.AppendMessage(make([]byte, 0, usual), r)
	if err != nil {
		return s.unencodable(r, err)
	}
	return text
}

// unencodable is the answer in place of a reply that an extension has spoilt.
// It is apart because its Message would lie on the stack of every reply, and
// the goroutine of an idle socket then keeps 8 KiB of stack instead of 4.
func (s *Server) unencodable(r *bayeux.Message, err error) []byte {
	s.log.Error("reply cannot be encoded", slog.String("channel", r.Channel), slog.Any("err", err))
	text, _ := codec.AppendMessage(nil, &bayeux.Message{Channel: r.Channel, ID: r.ID, Outcome: bayeux.Failed, Error: "500::internal"})
	return text
}

// context is what user code gets: the values of the request, and an end with
// the session.
func (t *turn) context() context.Context {
	if t.ctx == nil {
		t.ctx = &callContext{Context: t.link.conn.Context(), peer: t.link.peer, session: t.session}
	}
	return t.ctx
}

// settle wakes those who have something to write, because user code is about
// to run and may take its time. The session's own connect waits: what the
// payload brings it leaves with the reply (docs/protocol.md §9).
func (t *turn) settle() {
	lock.None()
	t.wakes.flushBut(t.srv, t.session)
}

// finish answers the payload.
func (t *turn) finish() {
	t.await()
	switch l := t.link; {
	case !l.peer.Once:
		t.answerStream()
	case !t.holding:
		t.answerExchange()
	}
	t.wakes.flush(t.srv)
	t.begin()
}

func (t *turn) answerStream() {
	l, s := t.link, t.session
	if t.connect != nil {
		s.answer(*t.connect)
	}
	if len(t.replies) == 0 {
		return
	}
	var after uint64
	if s != nil {
		s.mu.Lock()
		after = s.out.end()
		s.mu.Unlock()
	}
	for _, text := range t.replies {
		t.sending = append(t.sending, reply{text, transport.Other, s, after})
	}
	t.sending[0].kind = t.kind // of a handshake, events follow it
	l.add(t.sending...)        // first: events that the payload brings its own session go along
	t.wakes.flush(t.srv)
	t.srv.flush(l)
	t.srv.shed()
}

func (t *turn) answerExchange() {
	if t.connect != nil {
		text := t.srv.connectReply(t.session, t.connect)
		t.add(t.connect.kick)
		t.add(text) // always the last one
	}
	t.srv.respond(t.session, t.link, t.kind, t.replies, t.connect)
}
