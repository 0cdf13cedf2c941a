package server

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/lock"
)

// Publish delivers data to all subscribers of ch and of the patterns that
// match it. data is encoded once; Publish queues it for everybody and waits
// for nobody. It fails if ch is not a broadcast channel without wildcard, if
// data cannot be encoded, if a listener or extension refuses the message, and
// with [ErrClosed]. What the application's code panics with on the message's
// way is logged, and the error then is a [*bayeux.Error] with the code 500. It
// asks no policy. Messages published by one goroutine keep their order. On a
// channel with [History] it returns when the message is kept. ctx is what
// listeners, extensions and the history get; it ends nothing, for a message
// that is under way cannot be taken back.
//
// A codec.Raw, a json.RawMessage and a []byte are JSON text; everything else
// is encoded as by encoding/json, nil as null.
func (srv *Server) Publish(ctx context.Context, ch string, data any) (err error) {
	c, err := bayeux.ParseChannel(ch)
	if err != nil {
		return err
	}
	if c.Kind() != bayeux.Broadcast {
		return fmt.Errorf("server: not a broadcast channel, and only those have subscribers: %q", ch)
	}
	raw, err := codec.EncodeWith(srv.json, data)
	if err != nil {
		return err
	}
	if srv.isClosed() {
		return ErrClosed
	}
	defer srv.recovered(ch, &err)
	p := newPublishing(srv, raw)
	defer p.free()
	p.ctx, p.wakes, p.own.cause = ctx, &p.own, askedBy(ctx)
	p.onto(srv.createChannel(string(c), nil))
	if p.route.watched() {
		p.message = &bayeux.Message{Channel: string(c), Data: raw.AppendTo(nil)}
	}
	defer p.wakes.flush(srv)
	if err := p.watch(); err != nil {
		return err
	}
	if err := p.broadcast(); err != nil || p.kept == nil {
		return err
	}
	return p.kept()
}

// publishing is one message on its way from a publisher to all outboxes.
type publishing struct {
	srv     *Server
	ctx     context.Context
	from    *Session // nil: the server
	channel *channel
	route   *route
	data    codec.Raw
	message *bayeux.Message // made when somebody wants to see it, or has changed it
	wakes   *wakes
	own     wakes
	settled []snapshot   // who gets it, by the route's patterns, where that may not change meanwhile; else empty
	mute    bool         // from does not get it
	lent    bool         // the history has it
	kept    func() error // waits for the history
}

var publishings = sync.Pool{New: func() any { return new(publishing) }}

func newPublishing(s *Server, data codec.Raw) *publishing {
	p := publishings.Get().(*publishing)
	p.srv, p.data = s, data
	return p
}

// free keeps p's memory for another message, unless somebody else has p.
func (p *publishing) free() {
	if p.lent || cap(p.own.links) > mostScratch {
		return
	}
	p.own.forget()
	*p = publishing{own: p.own, settled: p.settled[:0]}
	publishings.Put(p)
}

// mostScratch is the length of slices whose memory is used again.
const mostScratch = 1 << 16

// onto makes ch the channel that is published on.
func (p *publishing) onto(ch *channel) { p.channel, p.route = ch, p.srv.channels.routeOf(ch) }

// watched reports whether user code looks at messages of this route.
func (r *route) watched() bool {
	return len(r.listeners) > 0 || len(r.filters) > 0 || len(r.outgoing) > 0 || len(r.deliver) > 0
}

// publish processes a message that is not a meta message, in the order of
// docs/protocol.md §15 (and §3.4, §14).
func (t *turn) publish(v *codec.View) {
	p := newPublishing(t.srv, v.Data)
	defer p.free()
	p.from, p.wakes = t.session, &t.wakes
	if !t.permit(p, v) {
		return
	}
	if p.route.watched() {
		p.detached(v)
		p.ctx = t.context()
		t.wakeOthers()
	}
	if err := p.watch(); err != nil {
		t.turnDown(p.message, err, 404, "message_deleted")
		return
	}
	if p.channel.kind == bayeux.Service {
		t.serve(v, p)
		return
	}
	if p.ctx == nil && t.srv.history != nil {
		p.ctx = t.context()
	}
	if err := p.broadcast(); err != nil {
		t.turnDown(p.detached(v), err, 404, "message_deleted")
		return
	}
	if p.kept != nil {
		t.keeping = append(t.keeping, keeping{len(t.replies), p, string(v.Channel), t.written, string(v.ID)})
		t.replies = append(t.replies, nil)
		return
	}
	t.acknowledge(v, p.route)
}

// permit takes a message as far as to where it may be published. If it may not,
// it has been answered.
func (t *turn) permit(p *publishing, v *codec.View) bool {
	ch, name, refused := t.target(v)
	if refused != nil {
		t.fail(v, refused)
		return false
	}
	if ch != nil {
		p.onto(ch)
	} else {
		p.route = t.srv.channels.computeRoute(name)
	}
	if err := p.showExtensions(t, v); err != nil {
		t.turnDown(p.detached(v), err, 404, "message_deleted")
		return false
	}
	if ch == nil {
		if err := t.mayCreate(name, p.detached(v), "channel_create_denied"); err != nil {
			t.refuse(p.message, err)
			return false
		}
		t.wakeOthers() // initializers may run
		if ch, refused = t.createChannel(name); refused != nil {
			t.refuse(p.message, refused)
			return false
		}
		p.onto(ch)
	}
	if err := t.mayPublish(p, v); err != nil {
		t.fail(v, err)
		return false
	}
	return true
}

// showExtensions shows the message to the extensions; only what they may have changed
// is read again.
func (p *publishing) showExtensions(t *turn, v *codec.View) error {
	switch {
	case len(p.route.incoming) > 0 || len(t.session.extended()) > 0:
		if err := t.incoming(p.route, p.detached(v)); err != nil {
			return err
		}
		return p.reread()
	case !v.Ext.IsZero():
		p.detached(v)
	}
	return nil
}

// detached is the message, made when first asked for.
func (p *publishing) detached(v *codec.View) *bayeux.Message {
	if p.message == nil {
		p.message = v.Detach()
		if len(p.message.Ext) > 0 && p.srv.history != nil {
			p.takeOff(p.srv.history.Ext)
		}
	}
	return p.message
}

// takeOff takes from the message the ext fields that only the server may write.
func (p *publishing) takeOff(names []string) {
	for _, name := range names {
		delete(p.message.Ext, name)
	}
	if len(p.message.Ext) == 0 {
		p.message.Ext = nil
	}
}

// acknowledge answers a publish that was taken.
func (t *turn) acknowledge(v *codec.View, r *route) {
	if len(r.outgoing) > 0 || len(t.session.extended()) > 0 {
		t.reply(&bayeux.Message{Channel: string(v.Channel), ID: string(v.ID), Outcome: bayeux.Succeeded})
		return
	}
	channel := v.Channel
	if t.written != "" {
		channel = []byte(t.written)
	}
	t.replies = append(t.replies, codec.AppendAck(nil, channel, v.ID))
}

// target finds out what is published on: a channel, or the legal name of one
// that does not exist. Where the message has it with spaces or a trailing slash,
// it is mended there: nobody behind this is to tell spellings apart but its
// client, which may look for the reply by the one that it has used.
func (t *turn) target(v *codec.View) (ch *channel, name string, refused *bayeux.Error) {
	if ch := t.srv.channels.get(v.Channel); ch != nil && !ch.wild {
		return ch, "", nil
	}
	c, err := bayeux.ParseChannel(string(v.Channel))
	if err != nil {
		return nil, "", &bayeux.Error{Code: 405, Message: "channel_invalid"}
	}
	if err := t.session.checkSize(len(v.Channel), c, 405, "channel_invalid"); err != nil {
		return nil, "", err
	}
	if c.Kind() == bayeux.Meta { // by its own spelling, or it would be refused as what it is not
		return nil, "", &bayeux.Error{Code: 403, Args: []string{byPolicy}, Message: "channel_create_denied"}
	}
	if len(c) < len(v.Channel) {
		t.written, v.Channel = string(v.Channel), []byte(c)
	}
	if c.Kind() == bayeux.Service {
		if ch := t.srv.channels.get([]byte(c)); ch != nil { // it had a trailing slash
			return ch, "", nil
		}
		// Nobody answers on it, but listeners of a pattern may want to hear it.
		return &channel{name: string(c), kind: bayeux.Service}, "", nil
	}
	return t.srv.channels.get([]byte(c)), string(c), nil
}

func (t *turn) mayPublish(p *publishing, v *codec.View) *bayeux.Error {
	srv := t.srv
	if f := srv.policy.Publish; f != nil {
		t.wakeOthers()
		if err := f(t.context(), t.session, &Publication{srv: srv, channel: p.channel.name, data: p.data, view: v, message: p.message}); err != nil {
			return t.refusal(err, p.channel.name, 403, "publish_denied")
		}
	}
	if len(p.route.authorizers) > 0 {
		t.wakeOthers()
		if err := p.route.authorize(t.context(), t.session, OpPublish, p.channel.name); err != nil {
			return t.refusal(err, p.channel.name, 403, "publish_denied")
		}
	}
	return nil
}

// watch shows the message to filters and listeners; each may change it or
// refuse it. Afterwards data is what they left.
func (p *publishing) watch() error {
	if len(p.route.filters) == 0 && len(p.route.listeners) == 0 {
		return nil
	}
	lock.None()
	for _, f := range p.route.filters {
		if err := f.f.apply(p.ctx, p.from, p.message); err != nil {
			return err
		}
	}
	for _, l := range p.route.listeners {
		if err := l.f(l.context(p.ctx, p.channel.name), p.from, p.message); err != nil {
			return err
		}
	}
	return p.reread()
}

// reread takes the data as user code left it.
func (p *publishing) reread() (err error) {
	p.data = codec.Raw{}
	if p.message.Data != nil {
		p.data, err = codec.Encode(p.message.Data)
	}
	return err
}

// parseTarget is for messages of the server's own to one session.
func parseTarget(ch string) (bayeux.Channel, error) {
	c, err := bayeux.ParseChannel(ch)
	if err == nil && c.Kind() == bayeux.Meta {
		return "", errMeta
	}
	return c, err
}

var errMeta = errors.New("server: a meta channel is not for the application's messages")
