//go:build !js

package wire

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// rests is how long the pace rests before its next frame.
func (p *pace) rests() time.Duration {
	begin := time.Now()
	p.frame()
	return time.Since(begin)
}

func TestWhoAloneAlwaysHasMoreRestsAfterEachLongTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		assert.Zero(t, p.rests(), "the first frame")
		for range 3 {
			time.Sleep(longTurn - time.Nanosecond)
			assert.Zero(t, p.rests(), "within a turn")
			time.Sleep(time.Nanosecond)
			assert.Equal(t, briefRest, p.rests())
		}
	})
}

func TestWhoHasManyFramesRestsAfterAShortTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		p.frame()
		for range 3 {
			for range fewFrames - 1 {
				time.Sleep(turn / (fewFrames - 1))
				assert.Zero(t, p.rests())
			}
			time.Sleep(time.Microsecond)
			assert.Equal(t, briefRest, p.rests())
		}
	})
}

func TestWhoIsWaitedForNeverRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		for range 3 {
			p.waited = true
			assert.Zero(t, p.rests())
			time.Sleep(longTurn)
			p.read(briefRest + 1)
			assert.Zero(t, p.rests())
			time.Sleep(longTurn)
		}
		p.read(briefRest) // too quick to have been a wait
		assert.Equal(t, briefRest, p.rests())
	})
}

// However many always have more, all of them together run for a third of the
// time, until each rests as long as one may.
func TestTheMoreRestTheLongerEachRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		var mu sync.Mutex
		took := map[time.Duration]int{}
		for range 100 * runtime.GOMAXPROCS(0) {
			all.Go(func() {
				p := pace{begun: time.Now()}
				time.Sleep(longTurn)
				d := p.rests()
				mu.Lock()
				took[d]++
				mu.Unlock()
			})
		}
		all.Wait()
		for n := range time.Duration(10) {
			assert.Equal(t, 1, took[briefRest+n*share*turn/time.Duration(runtime.GOMAXPROCS(0))], "%d others rest", n)
		}
		assert.NotZero(t, took[longRest])
		assert.Zero(t, resting.Load())
	})
}
