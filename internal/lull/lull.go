// Package lull lets a goroutine that always has work step aside until the
// runtime has polled the network.
//
// The runtime polls it when no goroutine can run, or else every 10 ms. Whoever
// always has something to do, such as a reader whose peer sends without end, so
// keeps everybody waiting whose bytes have just arrived. To yield in between does
// not help, for runtime.Gosched does not poll, and the shortest sleep is a
// millisecond on an idle machine. A [Bell] is a pipe of which only the poller may
// say that it can be read: who waits for that goes on when the runtime has
// polled, with all that has arrived meanwhile.
package lull

import (
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// longest bounds a Wait, so that who waits has its share where other goroutines
// never pause.
const longest = time.Millisecond

// Shared is the one Bell for all work that peers bring: readers of sockets and
// long batches. Each Wait stands behind those before it, so peers who press
// harder wait longer. Work that must not wait behind peers (accepting, sweeping)
// has a Bell of its own.
var Shared Bell

// A Bell says when the runtime has polled the network. The zero Bell is ready
// for use.
type Bell struct {
	turn    lock.Turn[lock.Polling] // one poll for each who waits
	waiting atomic.Int32
	pipe    pipe
}

// Wait returns once the runtime has polled the network, which it does when
// nothing else can run, and after a millisecond at the latest, counted from when it
// is its turn: of several that wait, one returns for each poll. On an idle machine
// that takes some microseconds.
func (b *Bell) Wait() {
	b.waiting.Add(1)
	b.turn.Lock()
	b.pipe.wait()
	b.turn.Unlock()
	b.waiting.Add(-1)
}

// Waiting is how many are in [Bell.Wait].
func (b *Bell) Waiting() int { return int(b.waiting.Load()) }

// Open takes the two descriptors that [Bell.Wait] needs. Without it the first
// Wait does.
func (b *Bell) Open() {
	b.turn.Lock()
	defer b.turn.Unlock()
	b.pipe.open()
}

// Close gives the descriptors back. Wait then only lets others run first.
func (b *Bell) Close() {
	b.turn.Lock()
	defer b.turn.Unlock()
	b.pipe.close()
}
