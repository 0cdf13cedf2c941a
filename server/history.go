package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
)

// A History keeps what is published on some channels, and gives it to those who
// subscribe later. Package ext/replay/replayserver has one; see
// [WithHistory]. Its functions may be called by many goroutines at once.
type History struct {
	// Keeps reports whether messages on a channel are kept.
	Keeps func(ch string) bool

	// Append keeps data as the next message on ch, and returns at once. When
	// the message is safe, deliver gives it to the subscribers, with data as
	// they are to see it: one call at a time, in the order of the history. Then
	// wait returns nil; if the message cannot be kept, deliver is not called
	// and wait returns why. Publishers are told nothing before that. The only user
	// code that deliver runs is the Deliver of extensions, which may not publish on
	// channels that are kept; hooks hear of the message from its publisher.
	Append func(ctx context.Context, ch string, data codec.Raw, deliver func(codec.Raw)) (wait func() error)

	// Join is asked for each subscription that was granted: m is the subscribe
	// message. An error refuses it. What is returned, unless nil, runs at once
	// and must not block: it has the subscription, which gets no messages
	// before [Joining.Live].
	Join func(ctx context.Context, s *Session, ch string, m *bayeux.Message) (func(*Joining), error)
}

// WithHistory keeps messages in h, which must outlive the server. It fails if h
// lacks a function. The default keeps none: who subscribes gets what is
// published from then on, and the latest message where [ChannelOptions] say so.
func WithHistory(h *History) Option {
	return func(c *config) error {
		if h == nil || h.Keeps == nil || h.Append == nil || h.Join == nil {
			return errors.New("server: history is nil, or lacks Keeps, Append or Join")
		}
		c.history = h
		return nil
	}
}

// A Joining is a subscription that first gets what was published before.
type Joining struct {
	Session *Session
	Channel string // or pattern

	sub  *subscription
	ctx  context.Context
	stop context.CancelFunc
}

// Context is done when the session has ended or unsubscribed.
func (j *Joining) Context() context.Context { return j.ctx }

// Send delivers one message of the past, as the extensions leave it for the session
// ([Extension].Deliver). Wait for [Joining.Room] before, or the session may end
// because its outbox is full.
func (j *Joining) Send(ch string, data codec.Raw) {
	j.send(ch, codec.AppendEvent(nil, ch, data))
}

// SendMessage is Send for a message that is not an event alone, but has an Ext.
func (j *Joining) SendMessage(m *bayeux.Message) error {
	text, err := codec.AppendMessage(nil, m)
	if err == nil {
		j.send(m.Channel, text)
	}
	return err
}

func (j *Joining) send(ch string, text []byte) {
	s := j.Session
	if j.ctx.Err() != nil {
		return
	}
	e := s.srv.eventOf(text)
	if bayeux.Channel(ch).Kind() == bayeux.Broadcast {
		e = s.srv.ownOf(deliveryContext{context.Background()}, s, ch, e)
	}
	if e != nil {
		w := wakes{cause: s}
		s.pushAlone(e, &ChannelOptions{}, &w)
		w.flushApart(s.srv)
	}
}

// HasRoom reports whether at most half of what the session's outbox may hold is in
// it. It is Room for who cannot wait.
func (j *Joining) HasRoom() bool {
	s := j.Session
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.roomy()
}

// Room waits until at most half of what the session's outbox may hold is in it.
// It returns an error when the subscription has ended.
func (j *Joining) Room() error {
	o := &j.Session.out
	for {
		j.Session.mu.Lock()
		if j.ctx.Err() != nil || o.roomy() {
			j.Session.mu.Unlock()
			return j.ctx.Err()
		}
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		j.Session.mu.Unlock()
		select {
		case <-room:
		case <-j.ctx.Done():
		}
	}
}

// Live makes it an ordinary subscription: from now on it gets what is published,
// and at once the latest messages of channels that the history does not keep, where
// their options say so. It neither blocks nor calls user code, so a History may call
// it while it holds deliveries up; where an extension has a Deliver there are no
// latest messages, therefore.
func (j *Joining) Live() {
	if j.ctx.Err() == nil {
		j.Session.srv.list(j.sub.channel, j.sub, nil, j.Session.srv.unkept)
	}
}

// unkept reports whether who has had the past may get a channel's latest message
// beside it.
func (srv *Server) unkept(ch string) bool { return !srv.history.Keeps(ch) && !srv.delivers() }

// roomy reports whether the outbox is at most half full. The caller holds mu.
func (o *Outbox) roomy() bool {
	l := &o.session.srv.limits
	return !over(2*o.bytes, l.SessionBytes) && !over(2*len(o.queue), l.SessionMessages)
}

// freed wakes who waits for room. The caller holds mu.
func (o *Outbox) freed() {
	if o.room != nil && o.roomy() {
		close(o.room)
		o.room = nil
	}
}

// join subscribes as the history wants it. begun is whether it takes part; if it
// does not, the caller subscribes. fresh is whether the session was not subscribed
// to name before.
func (t *turn) join(name string, m *bayeux.Message) (begun, fresh bool, refused *bayeux.Error) {
	h := t.srv.history
	if h == nil {
		return false, false, nil
	}
	s := t.session
	t.wakeOthers()
	start, err := h.Join(t.context(), s, name, m)
	if err != nil {
		return true, false, t.refusal(err, name, 403, "subscribe_denied")
	}
	if start == nil {
		return false, false, nil
	}
	j := &Joining{Session: s, Channel: name}
	j.ctx, j.stop = context.WithCancel(s.Context())
	j.sub = &subscription{session: s, channel: t.srv.expectedChannel(name, s), left: j.stop}
	known, refused := s.addSubscription(name, j.sub)
	if known || refused != nil {
		j.sub.channel.unsubscribe(j.sub)
		return true, false, refused
	}
	t.joining = append(t.joining, func() {
		var failed error // is in the log
		defer t.srv.recovered(name, &failed)
		start(j)
	})
	return true, true, nil
}

// expectedChannel is a channel that is not swept although nobody is listed yet.
func (srv *Server) expectedChannel(name string, s *Session) *channel {
	for {
		ch := srv.createChannel(name, s)
		ch.mu.Lock()
		if !ch.gone {
			ch.expected++
			ch.mu.Unlock()
			return ch
		}
		ch.mu.Unlock()
	}
}

// unexpect ends what expectedChannel began.
func (ch *channel) unexpect() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.expected--
}

// keep gives the message to the history, which delivers it. Others may wait for that
// to end: user code for which they need not wait runs when the publisher hears of it.
func (p *publishing) keep() error {
	if p.ctx != nil && p.ctx.Value(deliveryKey{}) != nil {
		return fmt.Errorf("server: a Deliver of a kept message cannot publish on a kept channel: %q", p.channel.name)
	}
	p.wakes.flushBut(p.srv, p.from) // it may wait for the history
	p.wakes, p.lent = &p.own, true  // delivery is another goroutine's
	if p.from != nil {
		p.own.cause = p.from
	}
	if p.message != nil {
		p.message = p.message.Clone() // user code may have kept the other
	}
	var (
		subscribers, bytes int
		spoiled            error
	)
	ch := p.srv.expectedChannel(p.channel.name, p.from) // whose initializers have run
	ctx := p.context()
	wait := p.srv.history.Append(ctx, ch.name, p.data, func(data codec.Raw) {
		var failed error // is in the log
		defer p.srv.recovered(ch.name, &failed)
		p.ctx, p.data = deliveryContext{ctx}, data
		p.onto(ch) // who has joined meanwhile must not be missed
		if p.message != nil {
			p.message.Data = data.AppendTo(nil)
		}
		var e *event
		if e, spoiled = p.encode(); spoiled == nil {
			subscribers, bytes = p.deliver(e), len(e.text)
		}
		p.wakes.wake(p.srv, nil)
		p.srv.overflowApart(p.wakes.doomed)
		p.wakes.doomed = nil
	})
	p.kept = func() error {
		defer ch.unexpect()
		err := wait()
		switch {
		case err != nil:
			return err
		case spoiled != nil:
			p.srv.seldom(slog.LevelError, "message cannot be encoded", "", slog.String("channel", ch.name), slog.Any("err", spoiled))
		default:
			p.delivered(subscribers, bytes)
		}
		p.wakes.tell(p.srv)
		return nil
	}
	return nil
}

// A deliveryContext is that of a Deliver for which all kept channels wait.
type deliveryContext struct{ context.Context }

type deliveryKey struct{}

func (c deliveryContext) Value(key any) any {
	if key == (deliveryKey{}) {
		return true
	}
	return c.Context.Value(key)
}

// A keeping is a publish whose reply waits for the history.
type keeping struct {
	at      int // its place among the replies
	p       *publishing
	channel string
	written string // as in turn
	id      string
}

// await answers the publishes that the history has under way.
func (t *turn) await() {
	if len(t.keeping) == 0 {
		return
	}
	t.wakeOthers()
	for _, k := range t.keeping {
		n := len(t.replies)
		t.answerKept(k)
		if len(t.replies) > n {
			t.replies[k.at] = t.replies[n]
			t.replies = t.replies[:n]
		}
	}
	t.keeping = nil
	kept := t.replies[:0]
	for _, text := range t.replies {
		if text != nil {
			kept = append(kept, text)
		}
	}
	t.replies = kept
	t.written = ""
}

func (t *turn) answerKept(k keeping) {
	t.written = k.written
	m := &bayeux.Message{Channel: k.channel, ID: k.id}
	defer func() {
		if p := recover(); p != nil {
			t.srv.panicked("history", p, slog.Any("session", t.session))
			t.refuse(m, &bayeux.Error{Code: 500, Message: "internal"})
		}
	}()
	if err := k.p.kept(); err != nil {
		t.srv.seldom(slog.LevelError, "message is not kept", "", slog.String("channel", k.channel), slog.Any("err", err))
		t.refuse(m, &bayeux.Error{Code: 500, Message: "history_failed"})
		return
	}
	t.reply(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded})
}

// startJoining starts what subscribes have prepared, after their replies were made.
func (t *turn) startJoining() {
	for _, f := range t.joining {
		f()
	}
	t.joining = nil
}
