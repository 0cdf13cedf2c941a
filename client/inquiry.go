package client

import (
	"context"
	"fmt"
	"time"
)

// An inquiry is a question to a function of the user's that may not return in
// time, or never. It is for the supervisor alone.
type inquiry[T any] struct {
	answers chan outcome[T] // of a call that was made and not heard of; nil: there is none
}

type outcome[T any] struct {
	v   T
	err error
}

// askUser calls f and waits for what it returns, at most for Timeouts.Open. A call
// that takes longer goes on, on a goroutine as handlers have, and the next one
// takes its answer instead of calling f again: f is never called twice at once.
func askUser[T any](c *Client, q *inquiry[T], f func(context.Context) (T, error)) (v T, err error) {
	if o, ok := q.late(); ok {
		return o.v, nil
	}
	patience := c.cfg.timeouts.Open
	if q.answers == nil {
		answers := make(chan outcome[T], 1)
		started := c.work(func() {
			ctx, cancel := context.WithTimeout(c.ctx, patience)
			defer cancel()
			v, err := f(ctx)
			answers <- outcome[T]{v, err}
		})
		if !started {
			return v, ErrClosed
		}
		q.answers = answers
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case o := <-q.answers:
		q.answers = nil
		return o.v, o.err
	case <-timer.C:
		return v, fmt.Errorf("no answer within %v: %w", patience, context.DeadlineExceeded)
	case <-c.ctx.Done():
		return v, c.ctx.Err()
	}
}

// late is the answer of an earlier call that came after its time; a late error
// is worth another call.
func (q *inquiry[T]) late() (o outcome[T], ok bool) {
	if q.answers == nil {
		return o, false
	}
	select {
	case o = <-q.answers:
		q.answers = nil
		return o, o.err == nil
	default:
		return o, false
	}
}
