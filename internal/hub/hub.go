// Package hub hands events to any number of loops. Who tells one never waits:
// each loop has a bounded queue of its own, in which the oldest events make way,
// and learns how many it has missed.
package hub

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/gocometd/cometd/internal/lock"
)

// A Hub is where events of type E are told. Call Init before all else.
type Hub[E any] struct {
	most  int
	lost  func(n int) E
	heard atomic.Bool
	all   atomic.Int32 // receivers that want everything

	mu        lock.Mutex[lock.Hub]
	receivers []*Receiver[E]
	over      bool
}

// Init says how many events may wait for one receiver, zero or less for any
// number, and what stands where n are missing.
func (h *Hub[E]) Init(most int, lost func(n int) E) { h.most, h.lost = most, lost }

// Heard reports whether there has ever been a receiver: until then an event need
// not be made.
func (h *Hub[E]) Heard() bool { return h.heard.Load() }

// Listening reports whether some receiver wants everything.
func (h *Hub[E]) Listening() bool { return h.all.Load() > 0 }

// Tell gives e to all receivers that want it, in one order for all.
func (h *Hub[E]) Tell(e E) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return
	}
	for _, r := range h.receivers {
		if r.wants == nil || r.wants(e) {
			r.put(e)
		}
	}
}

// End lets receivers finish what they have. What is told afterwards reaches
// nobody.
func (h *Hub[E]) End() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	for _, r := range h.receivers {
		r.end()
	}
}

// Join makes a receiver of what is told from now on and wants is true for, which
// runs under a lock; nil wants everything. It must Leave.
func (h *Hub[E]) Join(wants func(E) bool) *Receiver[E] {
	r := &Receiver[E]{hub: h, wants: wants, woken: make(chan struct{}, 1)}
	h.heard.Store(true)
	h.mu.Lock()
	defer h.mu.Unlock()
	r.over = h.over
	h.receivers = append(h.receivers, r)
	if wants == nil {
		h.all.Add(1)
	}
	return r
}

// Events yields everything that is told from now on until ctx or the hub ends.
// The receiver leaves with the loop, and with ctx if nobody ranges over it.
func (h *Hub[E]) Events(ctx context.Context) iter.Seq[E] {
	r := h.Join(nil)
	stop := context.AfterFunc(ctx, r.Leave)
	return func(yield func(E) bool) {
		defer stop()
		defer r.Leave()
		for e := range r.Events(ctx) {
			if !yield(e) {
				return
			}
		}
	}
}

// A Receiver is one loop over events.
type Receiver[E any] struct {
	hub   *Hub[E]
	wants func(E) bool
	woken chan struct{}

	mu      lock.Mutex[lock.Receiver]
	waiting []E
	missed  int
	over    bool
}

// Leave has nothing more told to r, and ends its loop when that has what was. It may
// be called again.
func (r *Receiver[E]) Leave() {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.receivers, r)
	if i < 0 {
		return
	}
	h.receivers = slices.Delete(h.receivers, i, i+1)
	if r.wants == nil {
		h.all.Add(-1)
	}
	r.end()
}

// Events yields what was told since Join, until ctx or the hub ends, or r has left.
func (r *Receiver[E]) Events(ctx context.Context) iter.Seq[E] {
	return func(yield func(E) bool) {
		for ctx.Err() == nil {
			e, ok, over := r.take()
			switch {
			case ok && !yield(e), !ok && over:
				return
			case ok:
				continue
			}
			select {
			case <-r.woken:
			case <-ctx.Done():
			}
		}
	}
}

func (r *Receiver[E]) put(e E) {
	r.mu.Lock()
	if most := r.hub.most; most > 0 && len(r.waiting) == most {
		r.drop()
		r.missed++
	}
	r.waiting = append(r.waiting, e)
	r.mu.Unlock()
	r.wake()
}

// drop takes the oldest event out. The caller holds mu.
func (r *Receiver[E]) drop() (e E) {
	var none E
	e, r.waiting[0] = r.waiting[0], none
	r.waiting = r.waiting[1:]
	return e
}

// take is the next event; over says that there will be no more than that.
func (r *Receiver[E]) take() (e E, ok, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.missed > 0:
		e = r.hub.lost(r.missed)
		r.missed = 0
		return e, true, false
	case len(r.waiting) > 0:
		return r.drop(), true, false
	}
	return e, false, r.over
}

func (r *Receiver[E]) end() {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.wake()
}

func (r *Receiver[E]) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}
