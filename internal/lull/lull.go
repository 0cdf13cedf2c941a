// Package lull waits for moments in which the scheduler had nothing else to
// run.
//
// The runtime looks at the network when no goroutine can run, or else every
// 10 ms. Who always has something to do, such as a reader whose peer sends
// without end, can so keep everybody waiting whose bytes have just arrived,
// also if it lets others run in between: runtime.Gosched does not look at the
// network, and a short sleep is a millisecond on an idle machine. A [Bell] asks
// the network for something itself. That comes when the runtime looks, with all
// that has arrived meanwhile.
package lull

import (
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// longest is how long a look may take to come, so that who waits has its share
// where others always have something to do.
const longest = time.Millisecond

// Shared is the bell of all in the process who have no claim to a time of their
// own: those who read, and those whose payloads are long. They are as many as
// peers please, and each of them waits for those before it.
var Shared Bell

// A Bell says when the runtime has looked at the network. The zero Bell is ready
// for use.
type Bell struct {
	one     lock.Turn[lock.Looking] // each who waits has a look of its own
	waiting atomic.Int32
	wire    wire
}

// Wait returns once the runtime has looked at the network, which it does when
// nothing else can run, and after a millisecond at the latest. On an idle
// machine that takes some microseconds. Of several that wait, one returns for each
// look.
func (b *Bell) Wait() {
	b.waiting.Add(1)
	b.one.Lock()
	b.wire.look()
	b.one.Unlock()
	b.waiting.Add(-1)
}

// Waiting is how many are in [Bell.Wait].
func (b *Bell) Waiting() int { return int(b.waiting.Load()) }

// Hang takes the two descriptors that [Bell.Wait] needs. Without it the first
// Wait does.
func (b *Bell) Hang() {
	b.one.Lock()
	defer b.one.Unlock()
	b.wire.hang()
}

// Close gives the descriptors back. Wait then only lets others run first.
func (b *Bell) Close() {
	b.one.Lock()
	defer b.one.Unlock()
	b.wire.cut()
}
