package client

import (
	"context"
	"iter"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
)

// A Handler is called with each message of a subscription, one at a time. The
// message is shared with others: read it, Clone it to change it. An error ends
// the subscription and is its Err.
type Handler func(ctx context.Context, m *bayeux.Message) error

// Messages hands over one message after the other until ctx or the
// subscription ends. Asking for the next says that the last is done, which is
// what ext/replay stores; break leaves it undone and the subscription alive.
func (s *Subscription) Messages(ctx context.Context) iter.Seq[*bayeux.Message] {
	return func(yield func(*bayeux.Message) bool) {
		for {
			e, ok := s.next(ctx)
			if !ok || !yield(e.m) {
				return
			}
			e.finish(true)
		}
	}
}

// Batches is Messages for whoever can use several at once: all that wait, at
// most max, at least one, also if max is less. The slice is the receiver's until it asks again.
func (s *Subscription) Batches(ctx context.Context, max int) iter.Seq[[]*bayeux.Message] {
	return func(yield func([]*bayeux.Message) bool) {
		var entries []entry
		var batch []*bayeux.Message
		for {
			e, ok := s.next(ctx)
			if !ok {
				return
			}
			entries, batch = append(entries[:0], e), append(batch[:0], e.m)
			for len(batch) < max && s.moreNow(&entries) {
				batch = append(batch, entries[len(entries)-1].m)
			}
			if !yield(batch) {
				return
			}
			for i := range entries {
				entries[i].finish(true)
			}
			clear(entries)
			clear(batch)
		}
	}
}

// moreNow appends the next message if it waits and no gap stands before it.
func (s *Subscription) moreNow(entries *[]entry) bool {
	e, ok := s.queue.takeMessage()
	if ok {
		s.c.flow.signal()
		*entries = append(*entries, e)
	}
	return ok
}

// Chan hands over messages for a select; taken means done. The channel is
// closed when ctx or the subscription ends.
func (s *Subscription) Chan(ctx context.Context) <-chan *bayeux.Message {
	out := make(chan *bayeux.Message)
	forward := func() {
		defer close(out)
		for {
			e, ok := s.next(ctx)
			if !ok {
				return
			}
			if !s.hand(ctx, out, e) {
				return
			}
		}
	}
	if !s.c.work(forward) {
		close(out)
	}
	return out
}

// hand gives e to whoever reads out, until ctx or the client ends, or the subscription
// with what waits in it. A client that drains leaves it to the reader.
func (s *Subscription) hand(ctx context.Context, out chan<- *bayeux.Message, e entry) bool {
	closing := s.c.ctx.Done()
	for {
		select {
		case out <- e.m:
			e.finish(true)
			return true
		case <-s.queue.gone:
			s.giveUp([]entry{e})
			return false
		case <-ctx.Done():
			if s.queue.untake(e) {
				s.c.dropped(s, []entry{e})
			}
			return false
		case <-closing:
			if !s.c.drained.Load() {
				return false
			}
			closing = nil
		}
	}
}

// next waits for the next message, calling WithOnGap's function on the way.
func (s *Subscription) next(ctx context.Context) (entry, bool) {
	for ctx.Err() == nil {
		e, ok, over := s.queue.take()
		if ok {
			s.c.flow.signal()
			if e.gap == nil {
				return e, true
			}
			if s.onGap != nil {
				s.onGap(*e.gap)
			}
			continue
		}
		if over {
			return entry{}, false
		}
		select {
		case <-s.queue.taken:
		case <-ctx.Done():
		}
	}
	return entry{}, false
}

// handle is SubscribeFunc's goroutine.
func (s *Subscription) handle(h Handler) {
	defer s.cancel()
	for {
		e, ok := s.next(context.Background()) // the queue's end ends it
		if !ok {
			return
		}
		if err := h(s.ctx, e.m); err != nil {
			s.fail(err, false)
			return
		}
		e.finish(true)
	}
}

// jsonKey finds the client's codec.JSON in a handler's context.
type jsonKey struct{}

// Typed makes a Handler of a function that takes decoded data. Data that does
// not fit T, or is missing, ends the subscription with that error.
func Typed[T any](h func(ctx context.Context, v T) error) Handler {
	return func(ctx context.Context, m *bayeux.Message) error {
		j, _ := ctx.Value(jsonKey{}).(codec.JSON)
		v, err := decode[T](j, m)
		if err != nil {
			return err
		}
		return h(ctx, v)
	}
}

// Values is Messages with decoded data. Data that does not fit T, or is
// missing, gives an error in its place and the loop may go on. When the
// subscription fails, the last pair has its Err.
func Values[T any](ctx context.Context, s *Subscription) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for m := range s.Messages(ctx) {
			if !yield(decode[T](s.c.cfg.json, m)) {
				return
			}
		}
		if err := s.Err(); err != nil && ctx.Err() == nil {
			var zero T
			yield(zero, err)
		}
	}
}

func decode[T any](j codec.JSON, m *bayeux.Message) (v T, err error) {
	if m == nil || len(m.Data) == 0 {
		return v, bayeux.ErrNoData
	}
	if j == nil {
		j = codec.Fast
	}
	err = j.Unmarshal(m.Data, &v)
	return v, err
}
