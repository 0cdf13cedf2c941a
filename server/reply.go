package server

import (
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// Who says no, and how:
//
//	fail      a message that is still a View, with a Bayeux error
//	refuse    the same for a Message, with the advice that is safe to give
//	turnDown  a message about which user code returned an error, or an Answer
//	refusal   makes the Bayeux error of what user code returned (policy.go)
//	failCall  a call of a service, whose data may say more (service.go)
//
// A Conn or a request that carries no message is refused in link.go and http.go.

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
	t.refuse(m, t.refusal(err, m.Channel, code, what))
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
	if t.srv.hooks.Refused != nil {
		t.wakeOthers()
		t.srv.refused(t.link.peer, err)
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
func (t *turn) reply(r *bayeux.Message) {
	if s := t.session; s != nil {
		to := t.srv.channels.routeByName(r.Channel)
		if len(to.outgoing) > 0 || len(s.extended()) > 0 {
			t.wakeOthers()
		}
		if t.srv.outgoing(t.context(), s, to, r) != nil {
			return
		}
	}
	if t.written != "" {
		r.Channel = t.written
	}
	t.add(t.srv.encodeReply(r))
}

// add adds an encoded reply, unless an extension has deleted it.
func (t *turn) add(text []byte) {
	if text != nil {
		t.replies = append(t.replies, text)
	}
}

func (srv *Server) encodeReply(r *bayeux.Message) []byte {
	const usual = 128 // bytes; those of a handshake are more
	text, err := codec.AppendMessage(make([]byte, 0, usual), r)
	if err != nil {
		return srv.unencodable(r, err)
	}
	return text
}

// unencodable is the answer in place of a reply that an extension has spoilt.
// It is apart because its Message would lie on the stack of every reply, and
// the goroutine of an idle socket then keeps 8 KiB of stack instead of 4.
func (srv *Server) unencodable(r *bayeux.Message, err error) []byte {
	srv.logRepeated(slog.LevelError, "reply cannot be encoded", "", slog.String("channel", r.Channel), slog.Any("err", err))
	text, _ := codec.AppendMessage(nil, &bayeux.Message{Channel: r.Channel, ID: r.ID, Outcome: bayeux.Failed, Error: "500::internal"})
	return text
}

// finish answers the payload.
func (t *turn) finish() {
	switch l := t.link; {
	case !l.peer.Once:
		t.answerStream()
	case !t.holding:
		t.answerExchange()
	}
	t.wakes.flush(t.srv)
	t.startJoining()
}

func (t *turn) answerStream() {
	l, s := t.link, t.session
	if t.connect != nil {
		defer s.sendConnectReply(t.connect) // always the last one
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

// answerExchange waits for the network. Others do not: an answer that nobody
// reads holds up nobody's messages but its own session's.
func (t *turn) answerExchange() {
	t.wakeOthers()
	if t.connect != nil {
		text := t.srv.connectReply(t.session, t.connect)
		t.add(t.connect.kick)
		t.add(text) // always the last one
	}
	r := t.srv.prepare(t.session, t.link, t.kind, t.replies, t.connect)
	r.send()
}
