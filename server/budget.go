package server

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// What waits in the whole server is counted by what it takes of the memory: a
// broadcast once, however many outboxes it is in, and a place in each of them.
// Nothing is added up for each delivery: whoever broadcasts counts its
// places, and adds them when all have it.

const (
	eventBytes = 64 // beside its text
	placeBytes = 16 // in an outbox: a pointer, in a slice that grows ahead

	// casting is in an event's places while it is being put into outboxes, so
	// that those which let go of it first do not take it for the last.
	casting = 1 << 30
)

// eventOf is an event for single sessions.
func (srv *Server) eventOf(text []byte) *event { return &event{text: text, born: srv.sweeps.Load()} }

// memory is what e takes, wherever it is.
func (e *event) memory() int64 { return int64(eventBytes + len(e.text)) }

// cast ends the broadcast of e, which n outboxes have taken.
func (srv *Server) cast(e *event, n int) {
	srv.queued.Add(e.memory() + placeBytes*int64(n))
	if atomic.AddInt32(&e.places, int32(n)-casting) == 0 {
		srv.queued.Add(-e.memory()) // all have let go of it already
	}
}

// counted is the event that is counted: one message is so once, however many copies
// of it differ by when they were born.
func (e *event) counted() *event {
	if e.of != nil {
		return e.of
	}
	return e
}

// enter counts one more place of e, and returns the bytes it takes.
func (e *event) enter() int64 {
	if atomic.AddInt32(&e.counted().places, 1) == 1 {
		return placeBytes + e.memory()
	}
	return placeBytes
}

// leave counts one place of e less, and returns the bytes that are free with it.
func (e *event) leave() int64 {
	if atomic.AddInt32(&e.counted().places, -1) == 0 {
		return placeBytes + e.memory()
	}
	return placeBytes
}

// pushAlone is push of an event that is not being broadcast.
func (s *Session) pushAlone(e *event, o *ChannelOptions, w *wakes) bool {
	before := w.taken
	s.srv.queued.Add(e.enter())
	ok := s.push(e, o, w)
	if w.taken == before {
		s.srv.queued.Add(-e.leave())
	}
	w.taken = before
	w.full = w.full || s.srv.full()
	return ok
}

// full reports whether all together hold more than they may.
func (srv *Server) full() bool {
	l := int64(srv.limits.ServerBytes)
	return l >= 0 && srv.queued.Load() > l
}

// shed closes sessions and streams while all together hold more than they may:
// first those whose oldest message, or reply, has waited for longest, for nobody
// else still needs what they keep. Of those who have waited for a while it
// closes some more, to make room.
func (srv *Server) shed() {
	if !srv.full() || !srv.shedding.TryLock() {
		return
	}
	defer srv.shedding.Unlock()
	srv.sweepParting(func(x *Session) bool { return x.out.bytes > 0 })
	limit, now := int64(srv.limits.ServerBytes), srv.sweeps.Load()
	leaving := int64(0) // is with sockets that were closed, who give it back in a moment
	for _, x := range srv.loads() {
		left := srv.queued.Load() - leaving
		if left <= limit-limit/8 || left <= limit && now-x.since < 2 {
			return
		}
		leaving += srv.unload(x)
	}
}

// A load is what waits for a session, or as replies for a stream.
type load struct {
	session *Session
	link    *link
	since   uint32 // the sweep after which the first of it came
	bytes   int
}

// loads are what waits: the longest first, and the most of what came between
// the same two sweeps.
func (srv *Server) loads() (all []load) {
	for _, x := range srv.sessions.all(nil) {
		if since, n := x.out.backlog(); n > 0 {
			all = append(all, load{x, nil, since, n})
		}
	}
	for _, l := range srv.links.snapshot(nil) {
		if since, n := l.unread(); n > 0 {
			all = append(all, load{nil, l, since, n})
		}
	}
	slices.SortFunc(all, func(a, b load) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(b.bytes, a.bytes))
	})
	return all
}

// backlog is how much the outbox holds, and since when the first of it waits. What
// was sent does not wait for as long as its client may take to acknowledge it, which
// it does with its next connect at the latest.
func (o *Outbox) backlog() (since uint32, bytes int) {
	s := o.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(o.queue) == 0 {
		return 0, 0
	}
	since = o.queue[0].born
	if o.kept > 0 {
		t := s.srv.timingFor(s.via, s.timing)
		patience := (t.Timeout + t.MaxInterval) / s.srv.timing.Sweep
		if time.Duration(s.srv.sweeps.Load()-since) <= patience {
			since = o.queue[min(o.kept, len(o.queue)-1)].born
		}
	}
	return since, o.bytes
}

// unload ends a session, or a stream whose session may go on over another. It
// returns the bytes that are on their way, which their socket has yet to let go
// of.
func (srv *Server) unload(x load) (leaving int64) {
	e := beyond(limitServerBytes, srv.limits.ServerBytes, "bytes")
	if x.session != nil {
		srv.limited(limitServerBytes, x.session.peer.Addr, x.session)
		srv.endWith(x.session, e)
		return int64(x.session.out.Bytes())
	}
	srv.limited(limitServerBytes, x.link.peer.Addr, x.link.session.Load())
	x.link.closeSaying(e.why, e.text)
	return 0
}
