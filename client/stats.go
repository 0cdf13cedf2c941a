package client

import (
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/transport"
)

// Stats are what a client can tell about itself at one moment.
type Stats struct {
	Change                   // the last one: the state, since when, and why
	LastHeard      time.Time // when the server last said anything; zero: never
	Received, Sent uint64    // messages of all kinds
	Dropped        uint64    // messages that full queues gave up or replaced
	Reconnects     uint64    // how often it was connected again, in the same session or a new one
	Waiting        int       // messages in all queues
	WaitingBytes   int       // and about how many bytes they are
}

// counters are updated per frame where that is possible.
type counters struct {
	received, replies, sent, dropped atomic.Uint64
	connects                         atomic.Uint64 // how often it became connected
	taken                            atomic.Uint64 // connects and other meta messages that the server took
	breaks                           atomic.Uint64 // of what carried requests, once for each
	heard                            atomic.Int64  // UnixNano
}

// events is how many messages have come that were no replies.
func (c *counters) events() uint64 { return c.received.Load() - c.replies.Load() }

// Stats returns the figures of now.
func (c *Client) Stats() Stats {
	s := Stats{
		Change:       c.change(),
		LastHeard:    c.lastHeard(),
		Received:     c.count.received.Load(),
		Sent:         c.count.sent.Load(),
		Dropped:      c.count.dropped.Load(),
		Reconnects:   max(c.count.connects.Load(), 1) - 1,
		WaitingBytes: int(c.waitingBytes.Load()),
	}
	for _, sub := range c.topics.all() {
		s.Waiting += sub.queue.len()
	}
	return s
}

func (c *Client) lastHeard() time.Time {
	ns := c.count.heard.Load()
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// dropped counts messages that a full queue gave up.
func (c *Client) dropped(s *Subscription, gone []entry) {
	c.count.dropped.Add(uint64(len(gone)))
	if f := c.cfg.hooks.Dropped; f != nil {
		f(s.Channel(), len(gone), transport.Overflow)
	}
}
