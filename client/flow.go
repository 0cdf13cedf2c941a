package client

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// A flow is where readers wait while a subscription's queue is full. It knows
// that they do, so that no watchdog takes a pause for a broken network.
type flow struct {
	waiting atomic.Int32

	mu      lock.Mutex[lock.Flow]
	moved   sync.Cond
	resumed time.Time // when the last pause ended
	excess  *link     // what it left when it broke went past the limits; the last such one
}

func newFlow() *flow {
	f := &flow{}
	f.moved.L = &f.mu
	return f
}

// wait blocks until ready returns true. ready is asked under f's lock, again
// after each signal.
func (f *flow) wait(ready func() bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting.Add(1) // before ready: who signals later sees it
	for !ready() {
		f.moved.Wait()
	}
	f.waiting.Add(-1)
	f.resumed = time.Now()
}

// presses is how much there is against waiting for room for what l has brought. The
// supervisor waits for the reader of a broken link, and who should make room may wait
// for the supervisor. Break after break must not fill the memory: the rest of a second
// one goes past Limits.QueueBytes only if that of the first does so no more. It is
// for flow.wait.
func (l *link) presses() pressure {
	c := l.c
	most := int64(c.cfg.limits.QueueBytes)
	switch f := c.flow; {
	case l.ctx.Err() == nil || c.ctx.Err() != nil:
		if c.asking.Load() > 0 {
			return urgent
		}
		return patient
	case f.excess != l && f.excess != nil && most > 0 && c.waitingBytes.Load() > most:
		return crushed
	default:
		f.excess = l
		return broken
	}
}

// signal wakes those that wait: there is room, or a reason not to wait.
func (f *flow) signal() {
	if f.waiting.Load() == 0 {
		return
	}
	f.mu.Lock()
	f.moved.Broadcast()
	f.mu.Unlock()
}

// paused reports whether a reader waits.
func (f *flow) paused() bool { return f.waiting.Load() > 0 }

// grace is how much longer a reply may stay out that was due now: the whole
// delay while a reader waits, and until that long after it went on.
func (f *flow) grace(delay time.Duration) time.Duration {
	if f.paused() {
		return delay
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resumed.IsZero() {
		return 0
	}
	return max(0, delay-time.Since(f.resumed))
}
