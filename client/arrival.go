package client

import (
	"cmp"
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/clock"
)

// An arrival is the payload that a reader reads. Over a slow line a large one takes
// longer than a reply may stay out, and would take as long again if it were given up: as
// long as it comes, whoever waits for what is in it, or behind it, waits on.
type arrival struct {
	from  io.Reader
	began time.Duration // when it was first noted that it advances, by package clock; 0: that was not yet
	some  int           // bytes since it was last noted
	under atomic.Bool   // it is being read
	moved atomic.Int64  // when it last advanced, or the last one did, if that was slow; 0: neither
}

// leastProgress is how many bytes are more than a peer that keeps somebody waiting: no
// line that is worth having takes Timeouts.NetworkDelay for them. Behind a payload that
// took slowPayload there may be more of its like, and a reply: others say nothing about
// the line.
const (
	leastProgress = 1 << 10
	slowPayload   = time.Second
)

func (a *arrival) read(r io.Reader, limits codec.Limits) (*codec.Batch, error) {
	a.from, a.some, a.began = r, 0, 0
	a.under.Store(true)
	b, err := codec.Read(a, limits)
	if time.Duration(a.moved.Load())-a.began < slowPayload {
		a.moved.Store(0)
	}
	a.from = nil
	a.under.Store(false)
	return b, err
}

func (a *arrival) Read(p []byte) (int, error) {
	n, err := a.from.Read(p)
	if a.some += n; a.some >= leastProgress {
		now := clock.Now()
		a.some, a.began = 0, cmp.Or(a.began, now)
		a.moved.Store(int64(now))
	}
	return n, err
}

// Len is how much of it there is, as codec.Read asks, where that is known.
func (a *arrival) Len() int {
	if known, ok := a.from.(interface{ Len() int }); ok {
		return known.Len()
	}
	return 511
}

// left is how much longer may be waited for it, or what follows, if it may take delay to
// advance: zero or less when it has not, or when the line is not slow.
func (a *arrival) left(delay time.Duration) time.Duration {
	moved := time.Duration(a.moved.Load())
	if moved == 0 {
		return 0
	}
	return delay - (clock.Now() - moved)
}

// stops waits until the payload, which is late, does not advance for a whole delay, and
// reports true; or until it is there or ctx, its exchange's, is done.
func (a *arrival) stops(ctx context.Context, delay time.Duration) bool {
	for came := false; ; came = true {
		left := a.left(delay)
		if left <= 0 {
			return !came || a.under.Load()
		}
		select {
		case <-time.After(left):
			if !a.under.Load() {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}
