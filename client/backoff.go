package client

import (
	"math/rand/v2"
	"time"
)

// A backoff counts failures in a row and says how long to wait after each: a
// step that begins with min and doubles up to max, give or take up to a half, so
// that the clients that a dead server has lost in one moment do not come back in
// one. Waits of max are only ever lengthened, by up to a hundredth: those before have
// spread the clients by then, and a client's attempts in an hour have a bound.
//
// It is a few lines of our own because the libraries' jitter shortens the longest
// pause too.
type backoff struct {
	min, max time.Duration
	failures int
}

func (b *backoff) next() time.Duration {
	step := b.max
	if b.failures < 32 {
		if doubled := b.min << b.failures; doubled > 0 {
			step = min(step, doubled)
		}
	}
	first := b.failures == 0
	b.failures++
	if step == b.max && !first {
		return step + rand.N(step/100+1)
	}
	return b.about(step)
}

// about is step, give or take up to a half, but never much more than max.
func (b *backoff) about(step time.Duration) time.Duration {
	least, most := step/2, min(step+step/2, b.max+b.max/100)
	return least + rand.N(most-least+1)
}

// nextAfter is next for what had worked for a while: that time counts, but the
// shortest pause is made all the same.
func (b *backoff) nextAfter(worked time.Duration) time.Duration {
	return max(b.next()-worked, b.about(b.min))
}

// reset is for a connection that has shown to last, not for one just opened.
func (b *backoff) reset() { b.failures = 0 }

// longEnough bounds what lasting asks for: attempts half a minute apart are no
// storm, whatever the longest pause is.
const longEnough = 30 * time.Second

// lasting is how long a connection must have worked to show that it lasts. A
// shorter time would let a server that ends each session after that time have a
// handshake as often.
func (b *backoff) lasting() time.Duration { return min(b.max, longEnough) }
