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
// When nobody has taken anything for a whole Timeouts.NetworkDelay, those requests are
// given up that have waited for as long. The caller holds l.turn.
func (l *link) loosen() (stop func()) {
	l.left = l.c.waitingBytes.Load()
	l.taken.Store(int64(clock.Now()))
	if l.pause == nil {
		l.pause = time.AfterFunc(l.c.cfg.timeouts.NetworkDelay, l.giveUpOverlong)
	} else {
		l.pause.Reset(l.c.cfg.timeouts.NetworkDelay) // there may be a pause for each message
	}
	return l.tighten
}

func (l *link) tighten() {
	if !l.pause.Stop() {
		l.resumed <- struct{}{}
	}
}

// advance notes whether somebody has taken something. It is for flow.wait.
func (l *link) advance() {
	left := l.c.waitingBytes.Load()
	if left < l.left {
		l.taken.Store(int64(clock.Now()))
	}
	l.left = left
}

// giveUpOverlong does so until the pause is over.
func (l *link) giveUpOverlong() {
	delay := l.c.cfg.timeouts.NetworkDelay
	for {
		wait := max(1, delay/2)
		if stands := clock.Now() - time.Duration(l.taken.Load()); stands < delay {
			wait = delay - stands
		} else {
			for _, r := range l.overlong(delay) {
				select {
				case <-l.resumed:
					return
				default:
					l.giveUpPaused(r)
				}
			}
		}
		select {
		case <-l.resumed:
			return
		case <-time.After(wait):
		}
	}
}

// overlong are the requests that somebody has waited for as long as delay, wherever they
// are. Nobody waits for what the client asks by itself, but for Drain.
func (l *link) overlong(delay time.Duration) []*request {
	closing := l.c.closing.Load()
	match := func(r *request) bool {
		own := r.supervised() || r.kind == transport.Disconnect || r.renewal && !closing
		return !own && r.patience > 0 && clock.Now()-r.asked >= delay
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
	if r.late != nil && !l.c.closing.Load() {
		r.late(fmt.Errorf("client: %s: no answer yet: %w", r.channel, errPaused))
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
