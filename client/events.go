package client

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
)

// An Event is something that a client heard: [Received], [Failure], [Change],
// [Gap] or [EventsLost].
type Event interface{ event() }

// Received is a message from the server, an event or a reply; read it, Clone
// it to change it.
type Received struct{ *bayeux.Message }

// Failure is an error that some part of the client met: a refusal by the
// server, a connection that broke. The client goes on unless a Change to
// bayeux.Stopped follows.
type Failure struct{ Err error }

// EventsLost stands where a receiver of [Client.Events] was too slow.
type EventsLost struct{ Events int }

func (Received) event()   {}
func (Failure) event()    {}
func (Change) event()     {}
func (Gap) event()        {}
func (EventsLost) event() {}

// Events yields everything that the client hears from now on, in order, until
// ctx ends or the client has stopped: messages of all subscriptions, replies,
// errors, changes of state, gaps. There may be any number of receivers; each
// sees everything. The client never waits for one: who falls 1024 events
// behind misses the oldest and is told by an [EventsLost]. Range over it once.
func (c *Client) Events(ctx context.Context) iter.Seq[Event] {
	rcv := c.hub.join(func(Event) bool { return true })
	stop := context.AfterFunc(ctx, func() { c.hub.leave(rcv) }) // should nobody range over it
	return func(yield func(Event) bool) {
		defer stop()
		defer c.hub.leave(rcv)
		for e := range rcv.events(ctx) {
			if !yield(e) {
				return
			}
		}
	}
}

// A hub hands events to receivers.
type hub struct {
	count atomic.Int32

	mu        lock.Mutex[lock.Hub]
	receivers []*receiver
	over      bool
}

// listening reports whether somebody receives everything.
func (h *hub) listening() bool { return h.count.Load() > 0 }

func (h *hub) join(wants func(Event) bool) *receiver {
	r := &receiver{wants: wants, woken: make(chan struct{}, 1)}
	r.all = wants(Received{})
	h.mu.Lock()
	defer h.mu.Unlock()
	r.over = h.over
	h.receivers = append(h.receivers, r)
	if r.all {
		h.count.Add(1)
	}
	return r
}

func (h *hub) leave(r *receiver) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.receivers, r); i >= 0 {
		h.receivers = slices.Delete(h.receivers, i, i+1)
		if r.all {
			h.count.Add(-1)
		}
	}
}

// tell gives e to all receivers, in one order for all.
func (h *hub) tell(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.receivers {
		if r.wants(e) {
			r.put(e)
		}
	}
}

// end lets receivers finish what they have.
func (h *hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	for _, r := range h.receivers {
		r.mu.Lock()
		r.over = true
		r.mu.Unlock()
		r.wake()
	}
}

// receiverEvents bounds what waits for one receiver.
const receiverEvents = 1024

// A receiver is one loop over events.
type receiver struct {
	wants func(Event) bool
	all   bool
	woken chan struct{}

	mu      lock.Mutex[lock.Receiver]
	waiting []Event
	lost    int
	over    bool
}

func (r *receiver) put(e Event) {
	r.mu.Lock()
	if len(r.waiting) == receiverEvents {
		r.waiting[0] = nil
		r.waiting = r.waiting[1:]
		r.lost++
	}
	r.waiting = append(r.waiting, e)
	r.mu.Unlock()
	r.wake()
}

func (r *receiver) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// take returns all that waits.
func (r *receiver) take() (es []Event, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost > 0 {
		es, r.lost = append(es, EventsLost{r.lost}), 0
	}
	es = append(es, r.waiting...)
	r.waiting = nil
	return es, r.over
}

func (r *receiver) events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for ctx.Err() == nil {
			es, over := r.take()
			for _, e := range es {
				if ctx.Err() != nil || !yield(e) {
					return
				}
			}
			if len(es) > 0 {
				continue
			}
			if over {
				return
			}
			select {
			case <-r.woken:
			case <-ctx.Done():
			}
		}
	}
}
