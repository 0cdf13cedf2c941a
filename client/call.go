package client

import (
	"context"

	"github.com/gocometd/cometd/bayeux"
)

// Call sends req to a service channel and waits for the result: the message on
// the same channel with the same id and data (docs/protocol.md §14). The
// server's acceptance alone does not complete it. A failure is a *bayeux.Error
// with the result's data. Without a deadline in ctx it waits for
// Timeouts.NetworkDelay; then, and when the connection breaks, it is [ErrLost].
func (c *Client) Call(ctx context.Context, ch string, req any) (*bayeux.Message, error) {
	r, err := c.newPublish(ctx, ch, req)
	if err != nil {
		return nil, err
	}
	r.call, r.tries = true, 1
	if _, limited := ctx.Deadline(); limited {
		r.patience = 0
	}
	answers := r.await()
	if err := c.enqueue(ctx, r); err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		return a.m, a.err
	case <-ctx.Done():
		c.withdraw(r, ctx.Err())
		return nil, ctx.Err()
	}
}

// Call is [Client.Call] with a decoded result.
func Call[Resp any](ctx context.Context, c *Client, ch string, req any) (Resp, error) {
	m, err := c.Call(ctx, ch, req)
	if err != nil {
		var zero Resp
		return zero, err
	}
	return decode[Resp](c.cfg.json, m)
}
