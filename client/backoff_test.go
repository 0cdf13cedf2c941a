package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Clients that are lost in one moment come back over a whole first step, evenly,
// and none of them late.
func TestClientsThatAreLostTogetherComeBackSpread(t *testing.T) {
	const clients = 10_000
	for name, wait := range map[string]func(*backoff) time.Duration{
		"down":       (*backoff).next,
		"had worked": func(b *backoff) time.Duration { return b.nextAfter(time.Hour) },
	} {
		var tenths [10]int
		for range clients {
			d := wait(&backoff{min: time.Second, max: 30 * time.Second})
			assert.GreaterOrEqual(t, d, 500*time.Millisecond)
			assert.LessOrEqual(t, d, 1500*time.Millisecond)
			tenths[min(9, (d-500*time.Millisecond)/(100*time.Millisecond))]++
		}
		for _, n := range tenths {
			assert.InDelta(t, clients/10, n, clients/50, name)
		}
	}
}

// However the waits turn out, each is about its step, the longest is not
// exceeded by more than a hundredth, and an hour has at most 126 attempts.
func TestWaitsAreAboutTheirSteps(t *testing.T) {
	for range 1000 {
		b := backoff{min: time.Second, max: 30 * time.Second}
		attempts := 1
		for step, now := time.Second, time.Duration(0); ; step = min(2*step, b.max) {
			least, most := step/2, step+step/2
			if step == b.max {
				least, most = step, step+step/100
			}
			d := b.next()
			assert.GreaterOrEqual(t, d, least)
			assert.LessOrEqual(t, d, most)
			if now += d; now > time.Hour {
				break
			}
			attempts++
		}
		assert.LessOrEqual(t, attempts, 126)
	}
	for _, b := range []backoff{{min: time.Second, max: time.Second}, {min: 25 * time.Second, max: 30 * time.Second}} {
		for range 100 {
			assert.LessOrEqual(t, b.next(), b.max+b.max/100)
		}
	}
}
