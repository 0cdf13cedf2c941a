package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// A request is one message that wants a reply: first in the outbox, then on a
// link until the reply comes, settled once by whoever takes it out there.
type request struct {
	ctx     context.Context // its values go to extensions; its end withdraws nothing by itself
	channel string
	data    codec.Raw       // of a publish
	m       *bayeux.Message // of everything else; nil for a publish
	kind    transport.Kind
	call    bool // only a result completes it, or a refusal
	more    bool // goes into one payload with the next request
	renewal bool // a subscribe that the client repeats in a new session
	settled func(m *bayeux.Message, err error)
	late    func(err error) // tells who waits that it takes too long; nil: it is withdrawn then

	id       uint64        // on the wire, in decimal; kept when it is sent again
	asked    time.Duration // when, by package clock; of ordinary ones
	place    uint64        // in the ordinary lane: after those that were put there before it; 0: before all
	slot     bool          // holds one of Limits.Pending
	patience time.Duration // for the reply; 0: somebody else watches
	exchange time.Duration // for the exchange that carries it; 0: likewise
	tries    int           // how often it may still be sent
	after    time.Time     // not to be sent before
	pause    backoff       // between exchanges that failed
	failures int           // exchanges that failed in a row
	breaks   *breaks       // of what carried it; nil for a publish

	abandoned atomic.Bool // nobody waits any more: it is not sent again
	overlong  atomic.Bool // who waited is told that a full queue has paused reading for too long

	// Set by the link that sends it.
	on           atomic.Pointer[link]
	sent         time.Time
	session      string
	conn         transport.Conn // its exchange, on a Once transport
	renewed      bool           // refused once because the token was out of date
	gone         error          // says that its session was gone when it came
	goneSessions int            // how many were
	accepted     bool           // a call whose result is still to come
}

// supervised reports whether r is the supervisor's, who watches and repeats it.
func (r *request) supervised() bool {
	return r.kind == transport.Handshake || r.kind == transport.Connect
}

func isRenewal(r *request) bool { return r.renewal }

// postpone has requests that are sent again after a failed exchange wait their
// time, all for the same. Others pass them meanwhile.
func (c *Client) postpone(rs []*request, err error) {
	pause := retryAfter(err)
	for _, r := range rs {
		if r.m != nil && r.tries > 1 {
			pause = max(pause, c.pauseOf(r))
		}
	}
	for _, r := range rs {
		if r.m != nil && r.tries > 1 {
			r.failures++
			r.after = time.Now().Add(pause)
		}
	}
}

// pauseOf is how long r waits after one more exchange that failed.
func (c *Client) pauseOf(r *request) time.Duration {
	r.pause.min, r.pause.max = c.cfg.backoff[0], c.cfg.backoff[1]
	return r.pause.next()
}

const endless = 1 << 30 // tries of a request that may be repeated at will

// An answer is what settles a request.
type answer struct {
	m   *bayeux.Message
	err error
}

// replies is where r's outcome comes, once. It is called before r is put anywhere.
func (r *request) replies() <-chan answer {
	answers := make(chan answer, 1)
	r.settled = func(m *bayeux.Message, err error) { answers <- answer{m, err} }
	return answers
}

// newRequest makes a request of a meta message.
func (c *Client) newRequest(ctx context.Context, m *bayeux.Message, kind transport.Kind) *request {
	return &request{
		ctx: ctx, m: m, channel: m.Channel, kind: kind, id: c.ids.Add(1),
		patience: c.cfg.timeouts.NetworkDelay, exchange: c.cfg.timeouts.NetworkDelay, tries: 1,
		breaks: new(breaks),
	}
}

// enqueue puts requests into the outbox, all or none, when there is room for
// them among Limits.Pending, which it waits for until ctx ends.
func (c *Client) enqueue(ctx context.Context, rs ...*request) error {
	if c.slots != nil && len(rs) > cap(c.slots) {
		return fmt.Errorf("%w: a batch of %d, and Limits.Pending is %d", ErrBusy, len(rs), cap(c.slots))
	}
	if c.slots != nil && len(rs) > 1 {
		select {
		case c.several <- struct{}{}:
			defer func() { <-c.several }()
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return c.closedErr()
		}
	}
	for i, r := range rs {
		if err := c.admit(ctx, r); err != nil {
			c.dismiss(rs[:i])
			return err
		}
	}
	return c.queue(rs)
}

// queue puts requests that are admitted into the outbox.
func (c *Client) queue(rs []*request) error {
	if !c.outbox.put(laneOther, rs...) {
		c.dismiss(rs)
		return c.closedErr()
	}
	c.flow.signal() // whoever reads may have paused, and the replies are behind that
	return nil
}

// admit counts r and takes one of Limits.Pending for it, when there is one.
func (c *Client) admit(ctx context.Context, r *request) error {
	err := c.admitNow(r)
	if !errors.Is(err, ErrBusy) {
		return err
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return c.closedErr()
	}
	r.slot = true
	c.asking.Add(1)
	return nil
}

// admitNow is admit that does not wait: ErrBusy if there is no room.
func (c *Client) admitNow(r *request) error {
	if c.closing.Load() {
		return c.closedErr()
	}
	if c.slots != nil {
		select {
		case c.slots <- struct{}{}:
		default:
			return ErrBusy
		}
		r.slot = true
	}
	c.asking.Add(1)
	return nil
}

// dismiss takes back what admit did.
func (c *Client) dismiss(rs []*request) {
	for _, r := range rs {
		c.release(r)
		c.answered()
	}
}

// release frees r's place among Limits.Pending.
func (c *Client) release(r *request) {
	if r.slot {
		<-c.slots
	}
}

// answered counts a request that asks no more; Drain waits for the last one.
func (c *Client) answered() {
	if c.asking.Add(-1) == 0 {
		wake(c.idle)
	}
}

// settle ends r with its reply or an error. Nobody else may hold r any more.
func (c *Client) settle(r *request, m *bayeux.Message, err error) {
	if !r.supervised() {
		c.release(r)
		c.answered()
	}
	if r.m != nil {
		c.outbox.goOn(r) // others may have waited for it, as for no publish
	}
	if f := c.cfg.hooks.Replied; f != nil && !r.sent.IsZero() {
		f(r.channel, time.Since(r.sent), err)
	}
	r.settled(m, err)
}

// giveBack handles a request that its link could not finish: send it again, or
// tell its caller that it is lost.
func (c *Client) giveBack(r *request, why error) (again bool) {
	r.conn = nil
	if c.ctx.Err() != nil {
		c.settle(r, nil, c.closedErr())
		return false
	}
	if c.choked(r, why) {
		r.tries, why = 0, fmt.Errorf("%d times: %w", r.breaks.count(), why)
	}
	if r.tries--; r.tries > 0 && !r.abandoned.Load() {
		if r.m == nil {
			r.after = time.Now().Add(max(c.cfg.publishEvery, retryAfter(why)))
		}
		return true
	}
	if r.sent.IsZero() || r.supervised() {
		c.settle(r, nil, why)
	} else {
		c.failRequest(r, lost(r.channel, why))
	}
	return false
}

// maxBreaks is how many failures of what carries a request that could be sent again
// for ever are not the network's: servers fail over what they do not like, or have
// no room for, and end the connection instead of refusing it.
const maxBreaks = 5

// breaks are how often the connection, or the exchange, has failed that carried a request,
// or one of those that ask for the same channel in one session after the other.
type breaks struct {
	times  atomic.Int32
	taken  atomic.Uint64 // what the server had taken by the last of them
	latest atomic.Uint64 // the last one's place among those of all requests, counted here or not; 0: there was none
}

func (b *breaks) count() int {
	if b == nil {
		return 0
	}
	return int(b.times.Load())
}

// choked counts a failure of what carried r, unless the server has taken nothing since
// the last one, neither a connect nor another request like r, and reports whether it is
// r's fault by now. After the first it goes out alone, so that nothing else is lost with
// it. That only its reply stays out of a stream clears it. A publish has its number of
// attempts, and what stands before a server, or is slow, says nothing about a request.
func (c *Client) choked(r *request, why error) bool {
	if r.m == nil || r.tries < endless/2 || r.sent.IsZero() {
		return false
	}
	te, failed := errors.AsType[*transport.Error](why)
	if !failed {
		r.breaks.times.Store(0)
		return false
	}
	switch te.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return false
	}
	if te.Reason == transport.Stalled {
		return false
	}
	r.breaks.latest.Store(c.count.breaks.Add(1))
	if taken := c.count.taken.Load(); r.breaks.count() == 0 || taken > r.breaks.taken.Load() {
		r.breaks.times.Add(1)
		r.breaks.taken.Store(taken)
	}
	return r.breaks.count() >= maxBreaks
}

// failRequest settles r with an error that those who hear everything hear, too.
func (c *Client) failRequest(r *request, err error) {
	c.settle(r, nil, err)
	if !r.supervised() {
		c.hub.Tell(Failure{err})
	}
}
