package server

import (
	"time"

	"github.com/gocometd/cometd/internal/lull"
)

// giveWay lets whatever can be served go before the caller, and waits behind
// all others who have long tasks.
var giveWay = lull.Shared.Wait // a variable, so that tests can count its calls

// A longTask is a batch, or a sweep that has much to end. It lets others go first
// now and then, as a socket that always has more does between its frames.
type longTask struct {
	begun time.Time // or when it last did
	parts int
}

const (
	taskParts = 32 // between two looks at the clock
	taskTurn  = 100 * time.Microsecond
)

// shouldYield is asked before each part, and reports whether it is the others' turn.
func (t *longTask) shouldYield() bool {
	t.parts++
	return t.parts%taskParts == 0 && t.shouldYieldNow()
}

// shouldYieldNow is shouldYield where a single part may take its time.
func (t *longTask) shouldYieldNow() bool {
	now := time.Now()
	if now.Sub(t.begun) <= taskTurn {
		return false
	}
	t.begun = now
	return true
}
