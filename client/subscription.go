package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/transport"
)

// A Subscription hands over the messages of one channel or pattern, or of
// several ([WithChannels]), in the order in which the server sent them. It
// outlives sessions, until Unsubscribe, an error of its own, or the end of the
// client.
//
// Consume it in one way at a time: one loop over [Subscription.Messages],
// [Subscription.Batches] or [Values], or one [Subscription.Chan]. Its other
// methods are for any goroutine.
type Subscription struct {
	c        *Client
	channels []string // as asked for, checked
	ext      bayeux.Ext
	listens  bool // local only
	handles  bool // a goroutine of its own consumes it
	onGap    func(Gap)
	queue    queue
	warned   atomic.Int64 // when the log last told that the queue is full

	ctx    context.Context // values of Subscribe's; done with the subscription
	cancel context.CancelFunc
}

// A SubOption configures a [Subscription].
type SubOption func(*subConfig) error

type subConfig struct {
	queue    int
	overflow Overflow
	onGap    func(Gap)
	channels []string
	ext      bayeux.Ext
}

// WithQueue bounds the subscription's queue in messages and says what happens
// when it is full. The default is 1024 and [Pause]. While a request of this
// client waits for its reply, a Pause queue may grow further, up to
// Limits.QueueBytes, because the reply is behind those messages; that of the
// subscription itself does not even pause then, see [Pause].
func WithQueue(messages int, o Overflow) SubOption {
	return func(c *subConfig) error {
		if messages < 1 {
			return fmt.Errorf("client: queue holds less than 1 message: %d", messages)
		}
		if o < Pause || o > KeepLatest {
			return fmt.Errorf("client: unknown overflow %d", o)
		}
		c.queue, c.overflow = messages, o
		return nil
	}
}

// WithOnGap calls f where messages may have been missed, on the subscriber's
// own goroutine, between the messages before and those after.
func WithOnGap(f func(Gap)) SubOption {
	return func(c *subConfig) error { c.onGap = f; return nil }
}

// WithChannels subscribes to more channels in the same request; all their
// messages come in one order.
func WithChannels(more ...string) SubOption {
	return func(c *subConfig) error { c.channels = append(c.channels, more...); return nil }
}

// WithSubscribeExt adds ext fields to the subscribe request, now and after
// each new handshake.
func WithSubscribeExt(e bayeux.Ext) SubOption {
	return func(c *subConfig) error { c.ext = e; return nil }
}

// Subscribe subscribes to ch, which may end in a wildcard, /a/* or /a/**, or
// have a filter that the server understands, /topic/T?Field=Value. It returns
// when the server has accepted, or with its refusal, a *bayeux.Error. Without a
// session it waits for one. The end of ctx ends the wait and withdraws the
// subscription. If an unsubscribe of ch is still under way, it is answered first, or
// has had Timeouts.NetworkDelay for that and is given up; what comes before the reply may
// then be for the one before and is given up, too, with a Gap if an extension follows ch
// ([Extension].Done).
//
// A request whose session is gone when it arrives is sent in the next one, at most
// five times in all; then the refusal is the error. One whose connection breaks is
// sent again, too. If that happens five times, with connects answered in between, the
// server is taken to fail over the request itself, and the error is [ErrLost].
//
// Several subscriptions to one channel share one on the wire. After the
// session was lost the client subscribes again by itself; a refusal then ends
// this subscription alone, see [Subscription.Err].
func (c *Client) Subscribe(ctx context.Context, ch string, opts ...SubOption) (*Subscription, error) {
	s, err := c.newSubscription(ctx, ch, false, opts)
	if err != nil {
		return nil, err
	}
	if err := c.join(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// SubscribeFunc is Subscribe with a goroutine that calls h for each message,
// one after the other. An error of h ends the subscription and is its Err. The
// handler's ctx has the values of this ctx and ends with the subscription.
func (c *Client) SubscribeFunc(ctx context.Context, ch string, h Handler, opts ...SubOption) (*Subscription, error) {
	if h == nil {
		return nil, errors.New("client: handler is nil")
	}
	s, err := c.newSubscription(ctx, ch, false, opts)
	if err != nil {
		return nil, err
	}
	s.handles = true
	if err := c.join(ctx, s); err != nil {
		return nil, err
	}
	if !c.work(func() { s.handle(h) }) {
		return nil, c.closedErr()
	}
	return s, nil
}

// Listen hands over what arrives on ch without telling the server: the answers
// of service channels, and with /meta/… the replies of the protocol itself. A
// pattern of broadcast channels gets what other subscriptions made come, and /**
// gets all of it. It fails for an illegal channel, and with ErrClosed.
func (c *Client) Listen(ch string, opts ...SubOption) (*Subscription, error) {
	s, err := c.newSubscription(context.Background(), ch, true, opts)
	if err != nil {
		return nil, err
	}
	if c.closing.Load() {
		return nil, c.closedErr()
	}
	if added, _ := c.topics.add(s, "", false, nil); !added {
		return nil, c.closedErr()
	}
	return s, nil
}

func (c *Client) newSubscription(ctx context.Context, ch string, listens bool, opts []SubOption) (*Subscription, error) {
	cfg := subConfig{queue: 1024, channels: []string{ch}}
	for _, o := range opts {
		if o == nil {
			continue
		}
		if err := o(&cfg); err != nil {
			return nil, err
		}
	}
	s := &Subscription{c: c, ext: cfg.ext, onGap: cfg.onGap, listens: listens}
	seen := make(map[string]bool)
	for _, ch := range cfg.channels {
		parsed, err := bayeux.ParseRemote(ch)
		if err != nil {
			return nil, err
		}
		if parsed.Kind() == bayeux.Meta && !listens {
			return nil, fmt.Errorf("client: subscribe to a meta channel, use Listen: %s", ch)
		}
		if !seen[string(parsed)] {
			seen[string(parsed)] = true
			s.channels = append(s.channels, string(parsed))
		}
	}
	s.queue = queue{
		most: cfg.queue, overflow: cfg.overflow, taken: make(chan struct{}, 1), gone: make(chan struct{}),
		bytes: &c.waitingBytes, maxBytes: int64(c.cfg.limits.QueueBytes),
	}
	if cfg.overflow == KeepLatest {
		s.queue.latest = make(map[string]int)
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(context.WithValue(ctx, jsonKey{}, c.cfg.json)))
	return s, nil
}

// Channel returns the first channel, as the wire has it.
func (s *Subscription) Channel() string { return s.channels[0] }

// Done is closed when the subscription has ended; what it had received by then
// may still wait in a loop that is under way.
func (s *Subscription) Done() <-chan struct{} { return s.ctx.Done() }

// Err says why the subscription ended: nil after Unsubscribe or while it has
// not ended, the server's refusal of subscribing again, [ErrLost] if the server
// failed over that again and again, the handler's error, or [ErrClosed].
func (s *Subscription) Err() error { return s.queue.error() }

// Unsubscribe ends the subscription at once; messages still in its queue are
// given up. If it was the last one to its channel the server is told, and
// Unsubscribe waits for the reply as long as there is a session and ctx allows, unless
// there is no connection when it is called. The error is the server's refusal, or
// [ErrLost] if it failed over the request again and again, or if it has not answered and
// somebody subscribes anew, see [Client.Subscribe].
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	if !s.end(nil, false) {
		return nil
	}
	away := s.c.State() == bayeux.Unconnected // or it may be the request that ends the connection
	r := s.leave()
	if r == nil || away {
		return nil
	}
	select {
	case a := <-r:
		if errors.Is(a.err, bayeux.ErrChannel) || errors.Is(a.err, bayeux.ErrUnknownSession) {
			return nil // the server has it no more, either way
		}
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end ends the subscription, once.
func (s *Subscription) end(err error, drain bool) (first bool) {
	first, left := s.queue.end(err, drain)
	s.giveUp(left)
	if first && !(drain && s.handles) {
		s.cancel()
	}
	s.c.flow.signal()
	return first
}

// forget gives up what s has heard and not handed over: what the server sent for others
// before it took s would stand before a hole.
func (s *Subscription) forget() (gone []entry) {
	gone = s.queue.forget()
	s.giveUp(gone)
	s.c.flow.signal()
	return gone
}

// miss tells of what s has given up, since from, of the channels that an extension
// follows: what the extension asked for may be among it, and it goes on behind that.
func (s *Subscription) miss(gone []entry, from time.Time) {
	missed := make(map[string]int)
	for _, e := range gone {
		for _, t := range e.done {
			missed[t.key]++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(missed)) {
		g := Gap{Channel: key, From: from, To: time.Now(), Dropped: missed[key], Reason: transport.Overflow}
		s.queue.addGap(g)
		s.c.tellGap(g)
	}
}

// giveUp is through with what nobody is handed, unless the client ends: that is still
// to be handled, in the program's next run, whatever others have done with it.
func (s *Subscription) giveUp(left []entry) {
	for i := range left {
		if s.c.ctx.Err() == nil {
			left[i].finish(false)
		}
	}
}

// fail ends the subscription for a reason of its own and leaves its channels, some of
// which the server never took.
func (s *Subscription) fail(err error, drain bool, never ...string) {
	if s.end(err, drain) {
		s.leave(never...)
		s.c.cfg.log.Warn("subscription ended", "channel", s.Channel(), "err", err)
		s.c.hub.Tell(Failure{err})
	}
}

// push hands e to the queue. If that is full it waits, and with it whoever
// reads, until there is room, a request's reply is wanted, or l, which has brought it,
// is broken. If the client ends meanwhile e is the first that is given up of all that
// comes: nothing is handed over behind a hole.
func (s *Subscription) push(e entry, l *link) {
	taken, gone := s.queue.offer(e, patient)
	if !taken {
		s.warn()
		l.loosen()
		s.c.flow.wait(func() bool {
			l.advance()
			taken, gone = s.queue.offer(e, l.presses())
			return taken || s.c.ctx.Err() != nil
		})
		l.tighten()
	}
	if !taken {
		s.end(s.c.closedErr(), s.c.drained.Load())
		s.giveUp([]entry{e})
		return
	}
	if len(gone) == 0 {
		return
	}
	if s.queue.over() {
		s.giveUp(gone)
		return
	}
	s.c.dropped(s, gone) // nor are they done: those before them may still be under way
}

// warn tells that nobody reads this subscription fast enough, at most once a
// minute.
func (s *Subscription) warn() {
	now := clock.Now()
	if last := time.Duration(s.warned.Load()); last == 0 || now-last > time.Minute {
		s.warned.Store(int64(now))
		s.c.cfg.log.LogAttrs(s.ctx, slog.LevelWarn, "subscription's queue is full, reading pauses", slog.String("channel", s.Channel()))
	}
}
