package fault

import (
	"net"
	"os"
	"sync"
	"time"
)

// forever is how long nothing comes out of a half-open connection.
const forever = 100 * 365 * 24 * time.Hour

// A lane is one direction of a connection. Its one user holds it from begin to
// pass; deadlines come from anywhere.
type lane struct {
	steps  []Step
	passed int
	late   time.Duration // of each piece
	until  time.Time     // nothing passes before
	lost   bool          // half-open

	mu       sync.Mutex
	deadline time.Time
	changed  chan struct{} // closed when deadline is another
}

func newLane(steps []Step, way Way) *lane {
	return &lane{steps: along(steps, way), changed: make(chan struct{})}
}

// A piece is what passes next.
type piece struct {
	size                      int // at most
	cut, flip, twice, swapped bool
}

// next takes the steps that are due now and says how the next piece of at most
// n bytes goes.
func (l *lane) next(n int) piece {
	p := piece{size: n}
	now := time.Now()
	if l.late > 0 {
		l.until = later(l.until, now.Add(l.late))
	}
	for len(l.steps) > 0 && l.steps[0].After <= l.passed {
		s := l.steps[0]
		l.steps = l.steps[1:]
		switch s.Kind { //exhaustive:enforce
		case Cut:
			p.cut = true
		case HalfOpen:
			l.lost = true
		case Stall:
			l.until = later(l.until, now.Add(s.For))
		case Delay:
			l.late = s.For
			l.until = later(l.until, now.Add(s.For))
		case Corrupt:
			p.flip = true
		case Duplicate:
			p.twice = true
		case Reorder:
			p.swapped = true
		}
	}
	if len(l.steps) > 0 {
		p.size = min(n, l.steps[0].After-l.passed)
	}
	return p
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// setDeadline frees a wait that is under way, as net.Conn promises.
func (l *lane) setDeadline(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *lane) limit() (time.Time, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline, l.changed
}

// wait returns when end is reached, the deadline is missed, or closed is
// closed.
func (l *lane) wait(end time.Time, closed <-chan struct{}) error {
	for time.Until(end) > 0 {
		deadline, changed := l.limit()
		d := time.Until(end)
		if !deadline.IsZero() && deadline.Before(end) {
			if d = time.Until(deadline); d <= 0 {
				return os.ErrDeadlineExceeded
			}
		}
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-changed:
		case <-closed:
			timer.Stop()
			return net.ErrClosed
		}
		timer.Stop()
	}
	return nil
}

// spoil changes b as p says, in place.
func (p *piece) spoil(b []byte) {
	if p.flip && len(b) > 0 {
		b[0] ^= 1
	}
	if half := len(b) / 2; p.swapped && half > 0 {
		first := append([]byte(nil), b[:half]...)
		copy(b, b[len(b)-half:])
		copy(b[len(b)-half:], first)
	}
}
