package server

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/internal/lull"
	"github.com/gocometd/cometd/transport"
)

// A turn is the processing of one payload: its messages one after the other,
// their replies collected, and everybody to be woken by what they published.
type turn struct {
	srv      *Server
	link     *link
	session  *Session // nil until the payload turns out to belong to one
	ctx      context.Context
	attached bool   // the link was its session's stream when the payload came
	alone    bool   // a single message
	written  string // how a publish has its channel, if not as the application sees it: its reply has it so
	kind     transport.Kind
	replies  [][]byte
	connect  *held     // to be answered with this payload, last of all
	holding  bool      // the payload is answered later, when its connect is
	keeping  []keeping // publishes that the history has under way
	joining  []func()  // subscriptions that begin with history

	// join is what the history says to the subscribe at hand, once it was asked.
	join    func(ch string) (func(*Joining), error)
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
	if t.session, t.wakes.cause = s, s; s != nil {
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
		since.Store(int64(clock.Now()))
		defer since.Store(0)
	}
	long := longTask{begun: time.Now()}
	for i := range views {
		if long.shouldYield() {
			t.pause()
		}
		t.message(&views[i])
	}
	t.await()
}

// pause wakes those who have something of this batch only if that may take its
// time: else they get more of it at once.
func (t *turn) pause() {
	if lull.Shared.Waiting() > 0 {
		t.wakeOthers()
	}
	giveWay()
}

// seen notes that the client has read the answer before, if it polls.
func (t *turn) seen() {
	if s := t.session; t.link.peer.Once {
		s.mu.Lock()
		s.via = t.link.peer.Type
		s.seen(laneOther)
		s.brought = false
		s.mu.Unlock()
	}
}

// message processes one message. What user code panics with is our peer's
// 500 and the log's.
func (t *turn) message(v *codec.View) {
	before := len(t.replies)
	t.written = ""
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
		t.metaConnect(v)
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

// recovered is deferred by what the application calls and what runs its code:
// a panic there is logged, and err is what the caller learns.
func (srv *Server) recovered(ch string, err *error) {
	if p := recover(); p != nil {
		srv.panicked("handler", p, slog.String("channel", ch))
		*err = &bayeux.Error{Code: 500, Channel: ch, Message: "internal"}
	}
}

// check refuses what no later step should see (docs/protocol.md §4, §15).
func (t *turn) check(v *codec.View) *bayeux.Error {
	switch {
	case exceeds(len(v.ID), t.srv.limits.IDBytes):
		return t.idTooLong(v)
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

// idTooLong takes the id out of v, so that neither the answer nor anything that
// waits for one has it.
func (t *turn) idTooLong(v *codec.View) *bayeux.Error {
	v.ID = nil
	l := t.srv.limits.IDBytes
	t.srv.limited(limitIDBytes, t.link.peer.Addr, t.session)
	return &bayeux.Error{Code: 405, Args: []string{limitIDBytes, strconv.Itoa(l)}, Message: "message_id_invalid"}
}

// meta processes a meta message, which all extensions for it see.
func (t *turn) meta(v *codec.View, f func(*bayeux.Message)) {
	t.await()
	m := v.Detach()
	if err := t.incoming(t.srv.channels.routeByName(m.Channel), m); err != nil {
		t.turnDown(m, err, 404, "message_deleted")
		return
	}
	f(m)
}

// context is what user code gets: the values of the request, and an end with
// the session.
func (t *turn) context() context.Context {
	if t.ctx == nil {
		t.ctx = &callContext{Context: t.link.conn.Context(), peer: t.link.peer, session: t.session}
	}
	return t.ctx
}

// wakeOthers wakes those who have something to write, because user code is about
// to run and may take its time. The session's own connect waits: what the
// payload brings it leaves with the reply (docs/protocol.md §9).
func (t *turn) wakeOthers() {
	lock.None()
	t.wakes.flushBut(t.srv, t.session)
}
