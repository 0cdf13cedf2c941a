package client

import (
	"slices"
	"strconv"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// A reader handles what a Conn receives: replies settle their requests, events
// go to the subscriptions, in the order in which they stand. It belongs to one
// goroutine.
type reader struct {
	l       *link
	limits  codec.Limits
	routes  router
	timeout *time.Timer // of an exchange's answer; nil for a stream
	owed    int         // events that the last handshake's reply has announced
	arrival arrival
}

func newReader(l *link) *reader {
	return &reader{
		l:      l,
		limits: l.c.cfg.limits.received(),
		routes: router{c: l.c},
	}
}

// receive waits for one payload and handles it.
func (in *reader) receive(conn transport.Conn) error {
	r, err := conn.Receive()
	if err != nil {
		return err
	}
	in.l.begun.Store(true)
	if in.timeout != nil {
		in.timeout.Reset(in.l.c.cfg.timeouts.NetworkDelay) // the body may take as long again
	}
	b, err := in.arrival.read(r, in.limits)
	if err != nil {
		return err
	}
	defer b.Release()
	if in.timeout != nil {
		in.timeout.Stop() // a full queue may now pause us for long
	}
	in.l.hear(len(b.Views))
	if f := in.l.c.cfg.hooks.Received; f != nil {
		f(in.l.typ(), len(b.Views), b.Size())
	}
	in.l.turn <- struct{}{}
	defer func() { <-in.l.turn }()
	if !in.l.cut {
		in.dispatch(b)
	}
	return nil
}

// hear notes a sign of life.
func (l *link) hear(messages int) {
	now := time.Now()
	l.mu.Lock()
	l.heard = now
	l.mu.Unlock()
	l.c.count.received.Add(uint64(messages))
	l.c.count.heard.Store(now.UnixNano())
}

// dispatch is the place that every received message passes.
func (in *reader) dispatch(b *codec.Batch) {
	var whole []*bayeux.Message // the batch's messages, detached at one go
	for i := range b.Views {
		if i%64 == 63 && in.l.over() {
			in.l.cut = true
			return
		}
		v := &b.Views[i]
		if r, reply := in.l.match(v); reply {
			in.l.c.count.replies.Add(1)
			if r != nil {
				in.answer(r, v)
			}
			continue
		}
		in.arrived()
		rt := in.routes.find(v.Channel)
		if rt.deaf() {
			continue
		}
		var m *bayeux.Message
		if len(b.Views) == 1 {
			m = v.Detach()
		} else {
			if whole == nil {
				whole = b.Detach()
			}
			m = whole[i]
		}
		in.l.deliver(rt, m)
	}
}

// over reports whether the client has closed and nobody waits for what a long
// payload still has to say.
func (l *link) over() bool { return l.ctx.Err() != nil && l.c.ctx.Err() != nil }

// answer settles the request that v replies to.
func (in *reader) answer(r *request, v *codec.View) {
	c := in.l.c
	rt := in.routes.find(v.Channel)
	if v.Outcome == bayeux.Succeeded && r.m == nil && !r.call && rt.deaf() {
		c.settle(r, nil, nil)
		return
	}
	m := v.Detach()
	if m.Channel == "" { // some servers refuse so (docs/protocol.md §19)
		m.Channel, m.Outcome = r.channel, bayeux.Failed
	}
	if err := pass(c.ctx, m, rt.incoming); err != nil {
		c.settle(r, nil, err)
		return
	}
	if r.kind == transport.Handshake {
		in.announce(announced(m))
	}
	c.replied(r, m)
	if r.m != nil {
		rt.tell(in.l, m) // to those who Listen to meta channels
	} else if rt.hub.Listening() {
		rt.hub.Tell(Received{m})
	}
}

// announced is the number of events that follow a handshake reply and belong to
// it: the first connect has to wait for them (docs/protocol.md §3.1).
func announced(m *bayeux.Message) int {
	n, _ := strconv.Atoi(string(m.Extra["x-messages"])) // what is no number is none
	return max(n, 0)
}

// announce begins to count n events.
func (in *reader) announce(n int) {
	if in.owed = n; n > 0 {
		in.l.complete = make(chan struct{})
	}
}

// arrived counts an event, which may be one that was announced.
func (in *reader) arrived() {
	if in.owed == 0 {
		return
	}
	if in.owed--; in.owed == 0 {
		close(in.l.complete)
	}
}

// match finds out whether v is a reply, and to which request; a reply to none
// is stale. The id alone proves nothing: some servers leave the publisher's on
// an event (docs/protocol.md §1).
func (l *link) match(v *codec.View) (r *request, reply bool) {
	meta := len(v.Channel) == 0 || bayeux.Channel(v.Channel).Kind() == bayeux.Meta
	switch {
	case meta && len(v.ID) == 0 && string(v.Channel) == bayeux.MetaDisconnect:
		if r := l.claim(v, false); r != nil {
			return r, true
		}
		l.c.lose(l.c.ID(), errKicked) // nobody asked
		return nil, false
	case meta, v.Outcome != bayeux.NoOutcome && v.Data.IsZero():
		return l.claim(v, false), true
	case len(v.ID) > 0 && !v.Data.IsZero():
		if r := l.claim(v, true); r != nil {
			return r, true // the result of a remote call
		}
	}
	return nil, false
}

// claim takes the request that v answers out of the pending ones.
func (l *link) claim(v *codec.View, result bool) *request {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.find(v)
	switch {
	case r == nil && !result:
		return l.late(v)
	case r == nil || result && !r.call:
		return nil
	}
	if !result && r.call && v.Outcome == bayeux.Succeeded {
		r.accepted = true
		return nil // the result is still to come (docs/protocol.md §14)
	}
	delete(l.pending, r.id)
	wake(l.free)
	if r.kind == transport.Connect {
		l.lateConnects = nil // older ones have no reply on its way any more
	}
	return r
}

// late is the connect that v is the reply to after it was given up. The caller
// holds l.mu.
func (l *link) late(v *codec.View) *request {
	id, err := strconv.ParseUint(string(v.ID), 10, 64)
	if err != nil || string(v.Channel) != bayeux.MetaConnect {
		return nil
	}
	i := slices.IndexFunc(l.lateConnects, func(r *request) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	r := l.lateConnects[i]
	l.lateConnects = slices.Delete(l.lateConnects, i, i+1)
	return r
}

// find is the pending request with v's id; without an id the oldest one on v's
// channel, for the same subscription if v has one; without even a channel the
// only one there is.
func (l *link) find(v *codec.View) (oldest *request) {
	if len(v.ID) > 0 {
		id, err := strconv.ParseUint(string(v.ID), 10, 64)
		if r := l.pending[id]; err == nil && r != nil && (len(v.Channel) == 0 || r.channel == string(v.Channel)) {
			return r
		}
		return nil
	}
	if len(v.Channel) == 0 {
		return l.only()
	}
	var subscription []string
	if ch := string(v.Channel); ch == bayeux.MetaSubscribe || ch == bayeux.MetaUnsubscribe {
		subscription = v.Detach().Subscription.Channels
	}
	for _, r := range l.pending {
		switch {
		case r.channel != string(v.Channel), oldest != nil && r.id > oldest.id:
		case len(subscription) > 0 && !slices.Equal(subscription, r.m.Subscription.Channels):
		default:
			oldest = r
		}
	}
	return oldest
}

// only is the one pending request, nil if there are more or none.
func (l *link) only() *request {
	if len(l.pending) == 1 {
		for _, r := range l.pending {
			return r
		}
	}
	return nil
}
