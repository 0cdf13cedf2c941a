package server

import (
	"sync/atomic"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// Hooks are told what happens, for metrics. They run in place, from many
// goroutines at once, and should only count; they must not panic. Nil ones cost nothing.
type Hooks struct {
	SessionOpened func(s *Session)
	SessionClosed func(s *Session, why transport.Reason)
	ConnOpened    func(p *transport.Peer)
	ConnClosed    func(p *transport.Peer, why transport.Reason, err error)
	FrameIn       func(connectionType string, messages, bytes int)
	FrameOut      func(connectionType string, messages, bytes int)
	Published     func(ch string, subscribers, bytes int)
	Refused       func(p *transport.Peer, err *bayeux.Error)

	// Dropped is told of n messages of one channel ("" for Session.Send) that
	// never leave: why is Overflow if the outbox was full, else the reason for
	// which the session ended while they waited.
	Dropped func(s *Session, ch string, n int, why transport.Reason)

	// Limited is told each time something breaks one of [Limits], by its name
	// in lower case, such as "message_bytes". The log has the first time, and
	// then one line a minute for each limit, with its count.
	Limited func(limit string)
}

// Stats are counts at one moment. Queued, Published, Delivered and Dropped are
// messages; the last three only grow. Dropped are those that Hooks.Dropped is
// told. QueuedBytes are what Limits.ServerBytes bounds.
type Stats struct {
	Sessions, Conns, Channels, Held int
	Queued, QueuedBytes             int
	Published, Delivered, Dropped   uint64
	Limited                         map[string]uint64 // how often each of [Limits] was broken, by name
}

type counters struct {
	conns                         atomic.Int64
	published, delivered, dropped atomic.Uint64

	mu      lock.Mutex[lock.Counters]
	limited map[string]*breach
}

// Stats counts. It walks all sessions, holding no lock meanwhile.
func (s *Server) Stats() Stats {
	out := Stats{
		Conns:       int(s.stats.conns.Load()),
		Channels:    s.channels.len(),
		QueuedBytes: int(s.queued.Load()),
		Published:   s.stats.published.Load(),
		Delivered:   s.stats.delivered.Load(),
		Dropped:     s.stats.dropped.Load(),
	}
	s.stats.mu.Lock()
	out.Limited = make(map[string]uint64, len(s.stats.limited))
	for limit, b := range s.stats.limited {
		out.Limited[limit] = b.times
	}
	s.stats.mu.Unlock()
	for _, x := range s.sessions.all() {
		out.Sessions++
		x.mu.Lock()
		out.Queued += len(x.out.queue)
		if x.held.link != nil {
			out.Held++
		}
		x.mu.Unlock()
	}
	return out
}
