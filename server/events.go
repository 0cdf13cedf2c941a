package server

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// An Event is something that happened to a session, or what the application
// emitted: a [SessionAdded], [Subscribed], [Unsubscribed], [SessionRemoved],
// [CustomData] or [EventsLost], in the order in which it happened.
type Event interface{ event() }

// SessionAdded is a successful handshake. Context has the values that the
// application's middleware put into the request's context; [PeerOf] gives its
// headers.
type SessionAdded struct {
	Session *Session
	Context context.Context
}

// SessionRemoved is the end of a session: Normal for a disconnect, Kicked,
// Expired when its client was away for too long, or what else ended it. Text is
// what [Session.Kick] was given, or the limit that has ended it.
type SessionRemoved struct {
	Session *Session
	Reason  transport.Reason
	Text    string
}

// Subscribed are the channels and patterns of one subscribe that were granted.
// Context is that of the message, as in [SessionAdded], or the session's own
// where [Session.Subscribe] did it.
type Subscribed struct {
	Session  *Session
	Channels []string
	Context  context.Context
}

// Unsubscribed are channels and patterns that a session left, or all it had
// when it ended. Context is that of the unsubscribe, as in [Subscribed], or
// the session's own.
type Unsubscribed struct {
	Session  *Session
	Channels []string
	Context  context.Context
}

// CustomData is what the application gave to [Server.Emit].
type CustomData struct{ Value any }

// EventsLost comes in the place of N events that a slow loop missed.
type EventsLost struct{ N int }

func (SessionAdded) event()   {}
func (SessionRemoved) event() {}
func (Subscribed) event()     {}
func (Unsubscribed) event()   {}
func (CustomData) event()     {}
func (EventsLost) event()     {}

// Events yields what happens from now on, in order, until ctx is done or the
// server is closed. Any number of loops may run; each sees everything. A loop
// never delays the server: one that falls more than Limits.Events behind gets
// EventsLost instead of the oldest ones. Registration happens when Events is
// called, so nothing is missed between that and the loop.
func (s *Server) Events(ctx context.Context) iter.Seq[Event] {
	r := s.events.join()
	stop := context.AfterFunc(ctx, func() { s.events.leave(r) })
	return func(yield func(Event) bool) {
		defer stop()
		defer s.events.leave(r)
		for {
			ev, ok := r.next()
			if !ok || !yield(ev) {
				return
			}
		}
	}
}

// Emit puts v, as [CustomData], among the events that every loop over
// [Server.Events] sees.
func (s *Server) Emit(v any) { s.events.emit(CustomData{v}) }

// hub hands every event to every receiver.
type hub struct {
	limit int         // per receiver
	heard atomic.Bool // there have been receivers

	mu        lock.Mutex[lock.Hub]
	receivers map[*receiver]struct{}
	closed    bool
}

// receiver is the queue of one loop.
type receiver struct {
	mu     lock.Mutex[lock.Receiver]
	more   *sync.Cond
	queue  []Event
	lost   int
	closed bool
}

func (h *hub) join() *receiver {
	r := &receiver{}
	r.more = sync.NewCond(&r.mu)
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.closed = h.closed; !h.closed {
		h.heard.Store(true)
		if h.receivers == nil {
			h.receivers = map[*receiver]struct{}{}
		}
		h.receivers[r] = struct{}{}
	}
	return r
}

func (h *hub) leave(r *receiver) {
	h.mu.Lock()
	delete(h.receivers, r)
	h.mu.Unlock()
	r.close()
}

// emit queues ev for all, in one order.
func (h *hub) emit(ev Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.receivers {
		r.put(ev, h.limit)
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for r := range h.receivers {
		r.close()
	}
}

func (r *receiver) put(ev Event, limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if over(len(r.queue)+1, limit) {
		r.queue[0] = nil
		r.queue = r.queue[1:]
		r.lost++
	}
	r.queue = append(r.queue, ev)
	r.more.Signal()
}

// next waits for the next event; false: there will be none.
func (r *receiver) next() (Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) == 0 && !r.closed {
		r.more.Wait()
	}
	if n := r.lost; n > 0 {
		r.lost = 0
		return EventsLost{n}, true
	}
	if len(r.queue) == 0 {
		return nil, false
	}
	ev := r.queue[0]
	r.queue[0] = nil
	r.queue = r.queue[1:]
	return ev, true
}

// close lets the loop see what is queued and then end.
func (r *receiver) close() {
	r.mu.Lock()
	r.closed = true
	r.more.Broadcast()
	r.mu.Unlock()
}
