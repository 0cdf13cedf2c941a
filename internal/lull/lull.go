// Package lull waits for moments in which the scheduler had nothing else to
// run.
//
// The runtime looks at the network when no goroutine can run, or else every
// 10 ms. Who always has something to do, such as a reader whose peer sends
// without end, can so keep everybody waiting whose bytes have just arrived,
// also if it lets others run in between: runtime.Gosched does not look at the
// network, and a short sleep is a millisecond on an idle machine. [Wait] asks
// the network for something itself. That comes when the runtime looks, with all
// that has arrived meanwhile.
package lull

import (
	"sync"
	"sync/atomic"
	"time"
)

var (
	one     sync.Mutex // each who waits has a look of its own
	waiting atomic.Int32
)

// longest is how long a look may take to come, so that who waits has its share
// where others always have something to do.
const longest = time.Millisecond

// Wait returns once the runtime has looked at the network, which it does when
// nothing else can run, and after a millisecond at the latest. On an idle
// machine that takes some microseconds. Of several that wait, one returns for each
// look, in the order in which they came.
func Wait() {
	waiting.Add(1)
	one.Lock()
	look()
	one.Unlock()
	waiting.Add(-1)
}

// Waiting is how many are in [Wait].
func Waiting() int { return int(waiting.Load()) }

// rest is where the network cannot be asked so.
func rest() { time.Sleep(50 * time.Microsecond) }
