package client

import (
	"math/rand/v2"
	"time"
)

// A backoff counts failures in a row and says how long to wait after each:
// min, doubled each time up to max, and lengthened by up to a tenth, so that
// many clients of a dead server do not come back together. Jitter never
// shortens a pause, so a client's attempts in an hour have a bound.
//
// It is a few lines of our own because the libraries' jitter shortens too.
type backoff struct {
	min, max time.Duration
	failures int
}

func (b *backoff) next() time.Duration {
	d := b.max
	if b.failures < 32 {
		if doubled := b.min << b.failures; doubled > 0 {
			d = min(d, doubled)
		}
	}
	b.failures++
	return lengthened(d)
}

func lengthened(d time.Duration) time.Duration { return d + rand.N(d/10+1) }

// nextAfter is next for what had worked for a while: that time counts, but the
// shortest pause is made all the same.
func (b *backoff) nextAfter(worked time.Duration) time.Duration {
	return max(b.next()-worked, lengthened(b.min))
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
