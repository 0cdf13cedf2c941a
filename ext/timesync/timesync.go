// Package timesync tells a client the time of its server: how far the two
// clocks are apart, and how long a message takes. It is CometD's timesync
// extension (docs/protocol.md §16), the client's half; the server's is package
// timesyncserver.
//
//	var clock timesync.Clock
//	c, err := cometd.Dial(ctx, url, client.WithExtension(clock.Extension()))
//	…
//	auctionEnds.Sub(clock.Now())
//
// Each handshake, connect, subscribe and so on carries the client's time, and
// its reply the server's. A reply that the server held back, such as a
// connect's, says for how long, so it measures as well as any other.
package timesync

import (
	"context"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/internal/lock"
)

// A Clock estimates the server's time from the last ten replies. The zero Clock
// is ready for use: until the first reply it is the client's own clock. Its
// methods are for any goroutine.
type Clock struct {
	mu      lock.Mutex[lock.Clock]
	samples [10]sample
	n       int // ever taken
}

type sample struct{ offset, lag time.Duration }

// Name is that of the ext field.
const Name = "timesync"

// A Request is the field as a client sends it; times are in milliseconds.
type Request struct {
	Sent   int64  `json:"tc"`
	Lag    *int64 `json:"l,omitempty"` // nil: it knows none
	Offset int64  `json:"o"`
}

// A Reply is the field as a server sends it; times are in milliseconds.
type Reply struct {
	Sent     int64  `json:"tc"` // as it was asked
	Received int64  `json:"ts"`
	Held     int64  `json:"p"`           // from receiving the request to sending the reply
	Accuracy *int64 `json:"a,omitempty"` // by how much the client's estimate is wrong
}

// Extension makes the extension that feeds the clock. One clock may serve
// several clients of one server.
func (c *Clock) Extension() client.Extension {
	return client.Extension{
		Name:     "timesync",
		Channels: []string{"/meta/*"},
		Outgoing: func(_ context.Context, m *bayeux.Message) error {
			lag := c.Lag().Milliseconds()
			return m.Ext.Set(Name, Request{Sent: time.Now().UnixMilli(), Lag: &lag, Offset: c.Offset().Milliseconds()})
		},
		Incoming: func(_ context.Context, m *bayeux.Message) error {
			var r Reply
			if ok, err := m.Ext.Decode(Name, &r); ok && err == nil {
				c.hear(r, time.Now())
			}
			return nil
		},
	}
}

// hear takes a sample. One that cannot be, because somebody's clock was set
// meanwhile, is not taken.
func (c *Clock) hear(r Reply, now time.Time) {
	const sane = 365 * 24 * int64(time.Hour/time.Millisecond)
	there := now.UnixMilli() - r.Sent - r.Held // and back
	if there < 0 || there > sane || r.Held < 0 || r.Held > sane {
		return
	}
	lag := time.Duration(there) * time.Millisecond / 2
	s := sample{time.UnixMilli(r.Received).Sub(time.UnixMilli(r.Sent)) - lag, lag}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples[c.n%len(c.samples)] = s
	c.n++
}

func (c *Clock) mean() (m sample) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(c.n, len(c.samples))
	for _, s := range c.samples[:n] {
		m.offset += s.offset / time.Duration(n)
		m.lag += s.lag / time.Duration(n)
	}
	return m
}

// Offset returns what must be added to the client's time to have the server's;
// 0 before the first reply.
func (c *Clock) Offset() time.Duration { return c.mean().offset }

// Lag returns how long a message takes one way; 0 before the first reply.
func (c *Clock) Lag() time.Duration { return c.mean().lag }

// Now returns the server's time.
func (c *Clock) Now() time.Time { return time.Now().Add(c.Offset()) }
