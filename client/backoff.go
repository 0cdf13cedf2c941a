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
	return d + rand.N(d/10+1)
}

// reset is for a connection that has shown to last, not for one just opened.
func (b *backoff) reset() { b.failures = 0 }
