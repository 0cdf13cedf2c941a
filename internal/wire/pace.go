//go:build !js

package wire

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A goroutine whose peer always has more for it never waits, and the scheduler
// lets it run for 10 ms, and does not look at the network as long as any can
// run. A few such peers would make all others wait for hundreds of
// milliseconds. So whoever is read for a turn without a wait rests: briefly if
// it is the only one, and else for longer the more rest at the time, which leaves
// most of the processors to others. One alone whose frames are few has a long
// turn: it may be a publisher whose messages go to thousands, and would leave in
// smaller batches.
const (
	turn      = 500 * time.Microsecond
	longTurn  = 20 * time.Millisecond
	fewFrames = 32
	briefRest = 50 * time.Microsecond
	longRest  = 100 * time.Millisecond
	share     = 3 // turns of rest for each other that rests
)

var resting atomic.Int64

// A pace is when a server's Reader has to rest. It rests between two frames.
type pace struct {
	begun  time.Time // the turn
	frames int       // in it
	waited bool      // for the peer, since the last frame: the turn begins anew
}

func (p *pace) frame() {
	now := time.Now()
	if p.waited || p.begun.IsZero() {
		p.begun, p.frames, p.waited = now, 0, false
		return
	}
	p.frames++
	if d := now.Sub(p.begun); d < turn || d < longTurn && p.frames < fewFrames && resting.Load() == 0 {
		return
	}
	others := time.Duration(resting.Add(1) - 1)
	time.Sleep(min(briefRest+others*share*turn/time.Duration(runtime.GOMAXPROCS(0)), longRest))
	resting.Add(-1)
	p.begun, p.frames = time.Now(), 0
}

// read notes a read that took so long, of a connection that does not tell
// whether it waits.
func (p *pace) read(took time.Duration) { p.waited = p.waited || took > briefRest }
