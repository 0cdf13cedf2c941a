//go:build !js

package wire

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// paced runs a test in fake time, in which waited tells how often a pace has
// let others go first since it was last asked.
func paced(t *testing.T, run func(t *testing.T, waited func() int)) {
	n := 0
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { n++ }
	synctest.Test(t, func(t *testing.T) {
		run(t, func() int {
			defer func() { n = 0 }()
			return n
		})
	})
}

func TestWhoAloneAlwaysHasMoreWaitsAfterEachLongTurn(t *testing.T) {
	paced(t, func(t *testing.T, waited func() int) {
		var p pace
		p.frame()
		for range 3 {
			time.Sleep(longTurn - time.Nanosecond)
			p.frame()
			assert.Zero(t, waited(), "within a turn")
			time.Sleep(time.Nanosecond)
			p.frame()
			assert.Equal(t, 1, waited())
		}
	})
}

func TestWhoHasManyFramesWaitsAfterAShortTurn(t *testing.T) {
	paced(t, func(t *testing.T, waited func() int) {
		var p pace
		p.frame()
		for range 3 {
			for range fewFrames - 1 {
				time.Sleep(turn / (fewFrames - 1))
				p.frame()
				assert.Zero(t, waited())
			}
			time.Sleep(time.Microsecond)
			p.frame()
			assert.Equal(t, 1, waited())
		}
	})
}

func TestWhoIsWaitedForNeverWaits(t *testing.T) {
	paced(t, func(t *testing.T, waited func() int) {
		var p pace
		for range 3 {
			p.waited = true
			p.frame()
			time.Sleep(longTurn)
			p.read(aWait + 1)
			p.frame()
			time.Sleep(longTurn)
		}
		assert.Zero(t, waited())
		p.read(aWait) // too quick to have been a wait
		p.frame()
		assert.Equal(t, 1, waited())
	})
}
