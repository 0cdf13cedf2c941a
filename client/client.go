package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/hub"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/negotiation"
	"github.com/gocometd/cometd/transport"
)

// A Client is one Bayeux session after another with one server, over the best
// transport there is. All methods are safe for concurrent use, also from
// handlers.
type Client struct {
	// The order of locks stands in internal/lock. Nothing is sent and no user
	// code runs while one is held.

	cfg     *config
	end     *endpoint
	follows bool // some extension wants to know which messages are handled

	ctx     context.Context // done when Close begins
	cancel  context.CancelFunc
	closing atomic.Bool   // nothing new is accepted
	drained atomic.Bool   // what waits in queues is still handed over
	ended   chan struct{} // closed when all is over but handlers
	done    chan struct{} // and closed when they are, too

	outbox       *outbox
	slots        chan struct{} // Limits.Pending; nil: no bound
	several      chan struct{} // held by who collects more than one slot, or two would wait for each other
	ids          atomic.Uint64
	asking       atomic.Int64  // requests that somebody waits for
	idle         chan struct{} // asking has become zero
	topics       topics
	flow         *flow
	hub          *hub.Hub[Event]
	callbacks    callbacks
	count        counters
	waitingBytes atomic.Int64

	nudged chan struct{} // Nudge was called
	doubts chan struct{} // doubt was called
	losses chan struct{} // lose was called
	tried  chan error    // the outcome of the first attempt, for Dial

	mu      lock.Mutex[lock.Client]
	last    Change
	changed chan struct{} // closed with the next change
	session identity
	loss    error // why the session is lost, when something but a connect says so
	failure error // the last one since the client was connected
	err     error

	handlers struct { // goroutines that run user code
		lock.Mutex[lock.Handlers]
		sync.WaitGroup
		over bool
	}

	supervisor // what only its goroutine uses
}

// New makes a client and starts it. It fails for bad options only, never for
// the network: use [Client.Wait] or [Client.States] to learn how it goes.
func New(url string, opts ...Option) (*Client, error) { return newClient(url, time.Time{}, opts) }

// newClient is New for somebody who waits until by, if that is not zero.
func newClient(url string, by time.Time, opts []Option) (*Client, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	end, err := newEndpoint(url, cfg)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, end: end,
		ended: make(chan struct{}), done: make(chan struct{}),
		outbox: newOutbox(cfg.limits.SendBytes), idle: make(chan struct{}, 1),
		flow: newFlow(), hub: new(hub.Hub[Event]), changed: make(chan struct{}),
		nudged: make(chan struct{}, 1), doubts: make(chan struct{}, 1), losses: make(chan struct{}, 1), tried: make(chan error, 1),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if cfg.limits.Pending > 0 {
		c.slots = make(chan struct{}, cfg.limits.Pending)
		c.several = make(chan struct{}, 1)
	}
	c.hub.Init(receiverEvents, func(n int) Event { return EventsLost{n} })
	c.topics.init()
	c.topics.left, c.topics.pause = c.cfg.unsubscribed, backoff{min: c.cfg.backoff[0], max: c.cfg.backoff[1]}
	c.callbacks.start, c.callbacks.most = c.work, cfg.limits.Pending
	c.supervisor = newSupervisor(cfg)
	c.dialDeadline = by
	for i := range cfg.extensions {
		c.follows = c.follows || cfg.extensions[i].Done != nil
		if f := cfg.extensions[i].Opened; f != nil {
			f(c)
		}
	}
	go c.run() // Close waits for ended
	return c, nil
}

func newSupervisor(cfg *config) supervisor {
	s := supervisor{
		dialers: make(map[string]transport.Dialer), excluded: make(map[string]bool),
		backoff: backoff{min: cfg.backoff[0], max: cfg.backoff[1]},
	}
	for _, d := range cfg.dialers {
		s.dialers[d.Type()] = d
		s.types = append(s.types, d.Type())
	}
	s.plan = negotiation.NewPlan(s.types, negotiation.Rules{Upgrade: cfg.upgrade})
	return s
}

// Dial makes a client and waits until it is connected. Each transport is tried
// once: the error is that of the first attempt, or ctx's and what has failed by
// then. A transport that has another behind it gets a third of Timeouts.Open, or of
// the time until ctx's deadline if that is less. If ctx ends when the server has
// already granted a session, Dial says goodbye first, for Timeouts.Close at most.
// Afterwards the client is as one from [New].
func Dial(ctx context.Context, url string, opts ...Option) (*Client, error) {
	by, _ := ctx.Deadline()
	c, err := newClient(url, by, opts)
	if err != nil {
		return nil, err
	}
	select {
	case err = <-c.tried:
	case <-c.ended:
		err = c.closedErr()
	case <-ctx.Done():
		err = c.waitedErr(ctx)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("client: dial %s: %w", transport.Redacted(c.end.url), err)
	}
	return c, nil
}

// Close ends the client at once: it tells the server, waiting at most
// Timeouts.Close for the answer, and gives up what was not answered. It waits
// for the client's goroutines except handlers, so a handler may call it. It always
// returns nil and may be called again.
func (c *Client) Close() error {
	c.closing.Store(true)
	c.cancel()
	c.flow.signal()
	<-c.ended
	return nil
}

// Drain takes no new requests, waits until those under way have been answered,
// and then closes. If ctx ends first it closes all the same and returns ctx's
// error. Messages that wait in queues by then are still handed over. Where a full
// queue pauses reading by then, what comes behind it is given up.
func (c *Client) Drain(ctx context.Context) error {
	c.closing.Store(true)
	var err error
	for c.asking.Load() > 0 && err == nil {
		select {
		case <-c.idle:
		case <-c.ended:
			return nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	c.drained.Store(true)
	c.Close()
	return err
}

// Done is closed when the client has ended, its handlers included.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the client ended by itself: a final refusal by the server, as a
// *bayeux.Error where it gave one, or the last failure with [WithMaxRetries].
// It is nil while the client runs and after Close or Drain.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// closedErr is what calls return when it is too late: ErrClosed, and why.
func (c *Client) closedErr() error {
	if err := c.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return ErrClosed
}

// waitedErr is what a wait for the connection returns that ctx has ended: its
// error, and what has failed meanwhile.
func (c *Client) waitedErr(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ctx.Err(), c.failure)
}

// setFailure remembers what has failed last; nil: nothing, the client is
// connected.
func (c *Client) setFailure(err error) {
	c.mu.Lock()
	c.failure = err
	c.mu.Unlock()
}

// Nudge makes the client look now whether the server is there, instead of when
// it next would: call it after sleep or a change of network. During a pause it
// tries at once; over an open connection it wants an answer within a second, or
// behind a large payload that is on its way. A handshake that is under way goes on.
func (c *Client) Nudge() {
	wake(c.nudged)
}

// doubt makes the supervisor ask for an answer over the stream that it is on.
func (c *Client) doubt() {
	wake(c.doubts)
}

// String describes the client without any secret.
func (c *Client) String() string {
	ch := c.change()
	return fmt.Sprintf("client(%s, %v, %s)", transport.Redacted(c.end.url), ch.To, ch.Transport)
}

// Format writes String for every verb, so that %+v shows no credentials.
func (c *Client) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.String()) }

// LogValue returns String, for log/slog.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// work runs f on a goroutine that Done waits for, unless that is over.
func (c *Client) work(f func()) bool {
	c.handlers.Lock()
	defer c.handlers.Unlock()
	if c.handlers.over {
		return false
	}
	c.handlers.Go(f)
	return true
}

// lose tells the supervisor that session is gone, as something but a connect
// has shown. Ordinary requests wait for the next one.
func (c *Client) lose(session string, why error) {
	c.mu.Lock()
	current := session != "" && session == c.session.id
	if current {
		c.outbox.shutOrdinary()
		if c.loss == nil || errors.Is(why, errKicked) {
			c.loss = why
		}
	}
	c.mu.Unlock()
	if current {
		c.tellLoss()
	}
}

// tellLoss wakes the supervisor.
func (c *Client) tellLoss() {
	wake(c.losses)
}

// wake tells whoever waits for ch, which holds one, that there is something to see.
func wake(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// releaseRequests lets ordinary requests go, unless the session is known to be gone.
func (c *Client) releaseRequests() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loss == nil {
		c.outbox.openOrdinary()
	}
}

// errKicked is the server's disconnect.
var errKicked = errors.New("client: disconnected by the server")

// finish is the supervisor's last act.
func (c *Client) finish(err error) {
	c.mu.Lock()
	if c.ctx.Err() == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.closing.Store(true)
	c.cancel()
	c.flow.signal()
	for _, r := range c.outbox.close() {
		c.settle(r, nil, c.closedErr())
	}
	for _, s := range c.topics.end() {
		s.end(c.closedErr(), c.drained.Load())
	}
	for i := range c.cfg.extensions {
		if f := c.cfg.extensions[i].Closed; f != nil {
			f()
		}
	}
	c.end.close()
	c.setSession("")
	if c.State() != bayeux.Stopped {
		c.endState(c.Err())
	}
	c.hub.End()
	c.handlers.Lock()
	c.handlers.over = true
	c.handlers.Unlock()
	close(c.ended)
	c.handlers.Wait()
	close(c.done)
}
