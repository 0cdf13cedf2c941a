package server

import (
	"io"
	"sync"
	"time"

	"github.com/gocometd/cometd/codec"
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

// A large payload is a long task too: what has a quarter of a megabyte takes up to a
// millisecond to parse, however seldom its peer sends one. A few such peers would always
// have something to do between them, and nobody would look at the network.
const (
	largePayload = 8 << 10  // is parsed when it is its turn
	largePart    = 64 << 10 // of it is read between two turns: it may have been packed
)

// readInTurn is codec.Read, which lets others go first where a payload is large.
func readInTurn(r io.Reader, l codec.Limits) (*codec.Batch, error) {
	t := turnReaders.Get().(*turnReader)
	t.Reader = r
	b, err := codec.Read(t, l)
	*t = turnReader{}
	turnReaders.Put(t)
	if err == nil && b.Size() >= largePayload {
		giveWay() // to do what it says takes as long again
	}
	return b, err
}

var turnReaders = sync.Pool{New: func() any { return new(turnReader) }}

// A turnReader reads a payload.
type turnReader struct {
	io.Reader
	size int // until now
}

func (t *turnReader) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	before := t.size / largePart
	if t.size += n; t.size/largePart > before || err == io.EOF && t.size >= largePayload {
		giveWay()
	}
	return n, err
}
