package client

import (
	"context"
	"fmt"

	"github.com/gocometd/cometd/bayeux"
)

// Call sends req to a service channel and waits for the result: the message on
// the same channel with the same id and data (docs/protocol.md §14). The
// server's acceptance alone does not complete it. A failure is a *bayeux.Error
// with the result's data; a channel that is no service channel is refused here.
//
// It waits until the deadline of ctx. Over long-polling all that this client sends
// later waits for the same answer, and what went out together with the call is
// [ErrLost] after some twice Timeouts.NetworkDelay.
//
// Without a deadline in ctx it waits for Timeouts.NetworkDelay. A call that the
// server has accepted by then, and not answered, as servers do with services
// that they do not have, is bayeux.ErrTimeout; any other, and each whose
// connection breaks, is [ErrLost].
func (c *Client) Call(ctx context.Context, ch string, req any) (*bayeux.Message, error) {
	r, err := c.newCall(ctx, ch, req)
	if err != nil {
		return nil, err
	}
	answers := r.replies()
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

func (c *Client) newCall(ctx context.Context, ch string, req any) (*request, error) {
	r, err := c.newPublish(ctx, ch, req)
	if err != nil {
		return nil, err
	}
	if bayeux.Channel(r.channel).Kind() != bayeux.Service {
		return nil, fmt.Errorf("client: call of a channel that is no service: %s", ch)
	}
	r.call, r.tries = true, 1
	if _, limited := ctx.Deadline(); limited {
		r.patience = 0
	}
	return r, nil
}

// noResult is the error of a call that the server has taken, and no more.
func noResult(r *request) error {
	return fmt.Errorf("client: call of %s: accepted, but no result within %v: %w", r.channel, r.patience, bayeux.ErrTimeout)
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
