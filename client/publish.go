package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// Publish sends data to ch and returns when the server has answered: nil when
// it accepted, which does not mean that anybody has received it, or its refusal,
// a *bayeux.Error. Without a session it waits for one, and what is refused because
// the session has gone goes into the next one, unless five in a row had gone. If
// the connection breaks after the message was sent, or the reply stays out for
// Timeouts.NetworkDelay, the error is [ErrLost]; see [WithPublishRetry], and [Pause]
// for handlers that publish. The end of ctx ends the wait, and withdraws a message
// that was not sent yet.
//
// A json.RawMessage, []byte or codec.Raw is JSON text; nil is null; all else is
// encoded by [WithJSON]. Any number of goroutines may publish; the messages of
// one keep their order.
func (c *Client) Publish(ctx context.Context, ch string, data any) error {
	r, err := c.newPublish(ctx, ch, data)
	if err != nil {
		return err
	}
	answers := r.replies()
	if err := c.enqueue(ctx, r); err != nil {
		return err
	}
	select {
	case a := <-answers:
		return a.err
	case <-ctx.Done():
		c.withdraw(r, ctx.Err())
		return ctx.Err()
	}
}

// PublishFunc is Publish that does not wait: done, which may be nil, is called
// once with the outcome, in the order of the outcomes, one at a time, on a
// goroutine of the client's; it may block, and use the client. PublishFunc returns
// an error, and never calls done, if the message cannot be sent at all, or with
// [ErrBusy] if Limits.Pending requests are under way, or so many calls of done are
// still to begin.
func (c *Client) PublishFunc(ch string, data any, done func(error)) error {
	r, err := c.newPublish(c.ctx, ch, data)
	if err != nil {
		return err
	}
	r.settled = func(*bayeux.Message, error) {}
	if done != nil {
		if !c.callbacks.announce() {
			return ErrBusy
		}
		r.settled = func(_ *bayeux.Message, err error) { c.callbacks.add(func() { done(err) }) }
	}
	if err = c.admitNow(r); err == nil {
		err = c.queue([]*request{r})
	}
	if err != nil && done != nil {
		c.callbacks.renounce()
	}
	return err
}

func (c *Client) newPublish(ctx context.Context, ch string, data any) (*request, error) {
	ch, err := publishable(ch)
	if err != nil {
		return nil, err
	}
	raw, err := codec.EncodeWith(c.cfg.json, data)
	if err != nil {
		return nil, fmt.Errorf("client: data for %s: %w", ch, err)
	}
	return &request{
		ctx: ctx, channel: ch, data: raw, id: c.ids.Add(1),
		patience: c.cfg.timeouts.NetworkDelay, exchange: c.cfg.timeouts.NetworkDelay,
		tries: max(1, c.cfg.publishTries),
	}, nil
}

// publishable refuses only channels that no server takes.
func publishable(ch string) (string, error) {
	parsed, err := bayeux.ParseRemote(ch)
	if err != nil {
		return "", err
	}
	if parsed.IsWild() || parsed.Kind() == bayeux.Meta {
		return "", fmt.Errorf("client: publish to a wildcard or meta channel: %s", ch)
	}
	return string(parsed), nil
}

// withdraw takes back what nobody waits for any more. If it was sent the server
// may have taken it; the reply will be stale.
func (c *Client) withdraw(r *request, why error) {
	if c.takeBack(r) {
		c.settle(r, nil, why)
	}
}

// takeBack reports whether r is the caller's to settle: it was not settled, nor is
// anybody about to.
func (c *Client) takeBack(r *request) bool {
	r.abandoned.Store(true)
	l := r.on.Load()
	return c.outbox.remove(r) || l != nil && l.forget(r)
}

// withdrawn is why r, which was on its way, is not sent any more: who waited for it has
// gone, or is told that it takes too long, or it is asked anew in another session. It is
// for who settles r.
func withdrawn(r *request) error {
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case r.overlong.Load() && r.accepted:
		return noResult(r)
	case r.overlong.Load() && r.sent.IsZero():
		return fmt.Errorf("client: %s: not sent: %w", r.channel, errPaused)
	case r.overlong.Load():
		return lost(r.channel, errPaused)
	}
	return lost(r.channel, errOver)
}

// replied settles r with its reply. What was refused because the session is gone
// was not taken: it goes into the next one.
func (c *Client) replied(r *request, m *bayeux.Message) {
	err := m.Err()
	if r.supervised() {
		c.settle(r, m, err) // the supervisor judges
		return
	}
	if errors.Is(err, bayeux.ErrUnknownSession) {
		c.lose(r.session, err)
		if r.gone = err; !r.renewal { // those are counted when the next session begins
			r.goneSessions++
		}
		if r.goneSessions < maxGoneSessions && r.kind != transport.Disconnect && !r.abandoned.Load() {
			c.requeue(r)
			return
		}
	}
	if err == nil && r.m != nil {
		c.count.taken.Add(1)
	}
	c.settle(r, m, err)
	if err != nil {
		c.hub.Tell(Failure{err})
	}
}

// maxGoneSessions is how many sessions in a row may be gone when a request comes: they may
// be short where a server is in trouble. One that has none for anybody, such as a
// cluster that spreads a client's connections over its nodes, must not be asked
// for ever.
const maxGoneSessions = 5

// A Batch collects publishes to send in one payload, if it has no more than 256 and
// stays below Limits.SendBytes, else in few. A server that has refused a batch gets
// one message at a time from then on. It belongs to one goroutine.
type Batch struct {
	c        *Client
	requests []*request
	err      error
}

// Batch returns an empty batch.
func (c *Client) Batch() *Batch { return &Batch{c: c} }

// Publish adds a message, as [Client.Publish] takes it. Errors wait for Send.
func (b *Batch) Publish(ch string, data any) {
	r, err := b.c.newPublish(b.c.ctx, ch, data)
	if err != nil {
		b.err = errors.Join(b.err, err)
		return
	}
	b.requests = append(b.requests, r)
}

// Send sends what was added and waits for all replies. If a message could not
// be added nothing is sent; otherwise the error joins those of all messages
// that were refused or lost, each as from [Client.Publish]. A batch larger than
// Limits.Pending is [ErrBusy]. The batch is empty again afterwards.
func (b *Batch) Send(ctx context.Context) error {
	rs, err := b.requests, b.err
	b.requests, b.err = nil, nil
	if err != nil || len(rs) == 0 {
		return err
	}
	answers := make([]<-chan answer, len(rs))
	for i, r := range rs {
		r.ctx, r.more = ctx, i < len(rs)-1
		answers[i] = r.replies()
	}
	if err := b.c.enqueue(ctx, rs...); err != nil {
		return err
	}
	for i := range rs {
		select {
		case a := <-answers[i]:
			err = errors.Join(err, a.err)
		case <-ctx.Done():
			for _, r := range rs[i:] {
				b.c.withdraw(r, ctx.Err())
			}
			return errors.Join(err, ctx.Err())
		}
	}
	return err
}
