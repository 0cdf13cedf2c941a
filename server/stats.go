package server

import (
	"sync/atomic"

	"github.com/gocometd/cometd/internal/lock"
)

// Stats are counts at one moment; those of type uint64 only grow.
type Stats struct {
	Sessions    int
	Conns       int // sockets, and requests under way
	Channels    int // and patterns, the server's own included
	Held        int // connects that wait for their answer
	Queued      int // messages that wait for sessions, without those that were sent and wait for an acknowledgement
	QueuedBytes int // what Limits.ServerBytes bounds: their memory, and replies that wait for sockets

	Published uint64            // messages on channels, however many got them
	Delivered uint64            // messages that left for sessions
	Dropped   uint64            // messages that Hooks.Dropped is told
	Limited   map[string]uint64 // how often each of [Limits] was broken, and pages were refused, by the names that Hooks.Limited has
}

type counters struct {
	conns                         atomic.Int64
	published, delivered, dropped atomic.Uint64

	mu      lock.Mutex[lock.Counters]
	limited map[string]*repeats
	refused map[string]*repeats // by user code, without a *bayeux.Error; by what
	failed  map[string]*repeats // by text of the log, and place
}

// Stats counts. It walks all sessions, holding no lock meanwhile.
func (srv *Server) Stats() Stats {
	out := Stats{
		Conns:       int(srv.stats.conns.Load()),
		Channels:    srv.channels.len(),
		QueuedBytes: int(max(0, srv.queued.Load())), // who takes an event may be quicker than who adds it
		Published:   srv.stats.published.Load(),
		Delivered:   srv.stats.delivered.Load(),
		Dropped:     srv.stats.dropped.Load(),
	}
	srv.stats.mu.Lock()
	out.Limited = make(map[string]uint64, len(srv.stats.limited))
	for limit, b := range srv.stats.limited {
		out.Limited[limit] = b.times
	}
	srv.stats.mu.Unlock()
	for _, x := range srv.sessions.all(nil) {
		out.Sessions++
		x.mu.Lock()
		out.Queued += len(x.out.queue) - x.out.kept
		if x.held.link != nil {
			out.Held++
		}
		x.mu.Unlock()
	}
	return out
}
