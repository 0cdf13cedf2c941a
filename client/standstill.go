package client

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/transport"
)

// A standstill is what a pause of a link's reader may become: a queue that is full in
// bytes waits for its subscriber, who may wait for a reply that is behind what is not
// read, or for a request that no exchange carries meanwhile, and nobody would ever go on.
// When nobody has taken anything for a whole Timeouts.NetworkDelay, those requests are
// given up that have waited for as long. All but taken and over is under the link's turn.
type standstill struct {
	timer *time.Timer   // goes during a pause
	left  int64         // bytes that wait in all queues
	taken atomic.Int64  // when, by package clock, somebody has taken of them, or the pause began
	over  chan struct{} // ends what the timer has begun
}

// loosen begins with a pause, and tighten ends with it.
func (l *link) loosen() {
	st, delay := &l.stands, l.c.cfg.timeouts.NetworkDelay
	st.left = l.c.waitingBytes.Load()
	st.taken.Store(int64(clock.Now()))
	if st.timer == nil {
		st.timer = time.AfterFunc(delay, l.giveUpOverlong)
	} else {
		st.timer.Reset(delay) // there may be a pause for each message
	}
}

func (l *link) tighten() {
	if !l.stands.timer.Stop() {
		l.stands.over <- struct{}{}
	}
}

// advance notes whether somebody has taken something. It is for flow.wait.
func (l *link) advance() {
	left := l.c.waitingBytes.Load()
	if left < l.stands.left {
		l.stands.taken.Store(int64(clock.Now()))
	}
	l.stands.left = left
}

// giveUpOverlong does so until the pause is over.
func (l *link) giveUpOverlong() {
	delay := l.c.cfg.timeouts.NetworkDelay
	for {
		wait := max(1, delay/2)
		if since := clock.Now() - time.Duration(l.stands.taken.Load()); since < delay {
			wait = delay - since
		} else {
			for _, r := range l.overlong(delay) {
				select {
				case <-l.stands.over:
					return
				default:
					l.giveUpPaused(r)
				}
			}
		}
		select {
		case <-l.stands.over:
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
