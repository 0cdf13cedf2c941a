package client

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
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

// loosen begins with a pause of who reads l, and stop ends with it: a queue that is full
// in bytes waits for its subscriber, who may wait for a reply that is behind what is not
// read, or for a request that no exchange carries meanwhile, and nobody would ever go on.
// After a whole Timeouts.NetworkDelay without room those requests are given up that have
// waited for as long. The caller holds l.turn.
func (l *link) loosen() (stop func()) {
	delay := l.c.cfg.timeouts.NetworkDelay
	if l.pause == nil {
		l.pause = time.AfterFunc(delay, func() { l.giveUpOverlong(delay) })
	} else {
		l.pause.Reset(delay) // there may be a pause for each message
	}
	return l.tighten
}

func (l *link) tighten() {
	if !l.pause.Stop() {
		l.resumed <- struct{}{}
	}
}

// giveUpOverlong does so until the pause is over.
func (l *link) giveUpOverlong(delay time.Duration) {
	again := time.NewTicker(max(1, delay/2))
	defer again.Stop()
	for {
		for _, r := range l.overlong(delay) {
			l.giveUpPaused(r)
		}
		select {
		case <-again.C:
		case <-l.resumed:
			return
		}
	}
}

// overlong are the requests that somebody has waited for as long as delay, wherever
// they are. Nobody waits for what the client asks by itself.
func (l *link) overlong(delay time.Duration) []*request {
	match := func(r *request) bool {
		return !r.supervised() && r.kind != transport.Disconnect && !r.renewal && r.patience > 0 && clock.Now()-r.asked >= delay
	}
	rs := l.c.outbox.waiting(match)
	l.mu.Lock()
	for _, r := range l.pending {
		if match(r) {
			rs = append(rs, r)
		}
	}
	l.mu.Unlock()
	return rs
}

// giveUpPaused tells who waits for r. An unsubscribe goes on without its caller.
func (l *link) giveUpPaused(r *request) {
	if r.late != nil {
		r.late(lost(r.channel, errPaused))
		return
	}
	r.overlong.Store(true)
	if l.c.takeBack(r) {
		l.c.failRequest(r, withdrawn(r))
	}
}

// errPaused is why a request was given up that a pause has outlasted.
var errPaused = fmt.Errorf("%w while a full queue pauses reading", bayeux.ErrTimeout)

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
