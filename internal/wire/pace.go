//go:build !js

package wire

import (
	"time"

	"github.com/gocometd/cometd/internal/lull"
)

// A reader whose peer never pauses would keep its processor, for the scheduler
// lets it run for 10 ms and polls the network only when no goroutine can run. A
// few such peers would make all others wait for hundreds of milliseconds. So after
// each turn without a wait it gives way until there has been a poll, which costs
// nothing if nobody else has anything to do. A reader that is alone and gets few
// frames has a longer turn: it may be a publisher whose messages go to thousands,
// and would leave in smaller batches.
const (
	turn      = 200 * time.Microsecond
	longTurn  = 20 * time.Millisecond
	fewFrames = 32
	aWait     = 50 * time.Microsecond // a read that takes longer has waited for the peer
)

var giveWay = lull.Shared.Wait

// A pace is when a server's Reader has to let others go first. It does so
// between two frames.
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
	if d := now.Sub(p.begun); d < turn || d < longTurn && p.frames < fewFrames && lull.Shared.Waiting() == 0 {
		return
	}
	giveWay()
	p.begun, p.frames = time.Now(), 0
}

// read notes a read that took so long, of a connection that does not tell
// whether it waits.
func (p *pace) read(took time.Duration) { p.waited = p.waited || took > aWait }
