package server

import (
	"context"
	"errors"

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
	// and wait returns why; a publisher is told a *bayeux.Error as it is, and of
	// others no more than that. Publishers are told nothing before that. The only user
	// code that deliver runs is the Deliver of extensions, which may not publish on
	// channels that are kept; hooks hear of the message from its publisher.
	Append func(ctx context.Context, ch string, data codec.Raw, deliver func(codec.Raw)) (wait func() error)

	// Join is asked once for each subscribe message, m, and what it returns for each
	// subscription of it that was granted. An error refuses that one. The function
	// returned with it, unless nil, runs at once and must not block: it has the
	// subscription, which gets no messages before [Joining.Live].
	Join func(ctx context.Context, s *Session, m *bayeux.Message) func(ch string) (func(*Joining), error)

	// Ext names the fields in the Ext of messages that clients take for the history's
	// own, such as what [Joining.SendMessage] marks the past with: of what a client
	// publishes they are taken off, before extensions see it.
	Ext []string
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
	return !exceeds(2*o.bytes, l.SessionBytes) && !exceeds(2*len(o.queue), l.SessionMessages)
}

// freed wakes who waits for room. The caller holds mu.
func (o *Outbox) freed() {
	if o.room != nil && o.roomy() {
		close(o.room)
		o.room = nil
	}
}

// joinHistory subscribes as the history wants it. begun is whether it takes part; if it
// does not, the caller subscribes. fresh is whether the session was not subscribed
// to name before.
func (t *turn) joinHistory(name string, m *bayeux.Message) (begun, fresh bool, refused *bayeux.Error) {
	h := t.srv.history
	if h == nil {
		return false, false, nil
	}
	s := t.session
	t.wakeOthers()
	if t.join == nil {
		t.join = h.Join(t.context(), s, m)
	}
	start, err := t.join(name)
	if err != nil {
		return true, false, t.refusal(err, name, 403, "subscribe_denied")
	}
	if start == nil {
		return false, false, nil
	}
	ch, refused := t.expectedChannel(name)
	if refused != nil {
		return true, false, refused
	}
	j := &Joining{Session: s, Channel: name}
	j.ctx, j.stop = context.WithCancel(s.Context())
	j.sub = &subscription{session: s, channel: ch, left: j.stop}
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
func (t *turn) expectedChannel(name string) (*channel, *bayeux.Error) {
	for {
		if ch, refused := t.createChannel(name); refused != nil || ch.expect() {
			return ch, refused
		}
	}
}

// expect keeps ch from being swept, if it has not been.
func (ch *channel) expect() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.gone {
		return false
	}
	ch.expected++
	return true
}

// unexpect ends what expect began.
func (ch *channel) unexpect() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.expected--
}

// startJoining starts what subscribes have prepared, after their replies were made.
func (t *turn) startJoining() {
	for _, f := range t.joining {
		f()
	}
	t.joining = nil
}
