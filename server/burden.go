package server

import (
	"io"
	"sync"

	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/lock"
)

// Large payloads are long tasks too: a quarter of a megabyte takes up to a millisecond to
// parse, and as long again to process, however seldom its peer sends one. A few such peers
// would always have something to do between them, and nobody would look at the network.
const (
	largePayload = 8 << 10   // smaller ones do not count
	largePart    = 64 << 10  // counts when it has been read: it may have been packed
	muchAtOnce   = 256 << 10 // between two looks. Each costs little, but what is published meanwhile leaves in more frames
)

// A burden is what all peers have brought in large payloads since the network was last
// looked at for them. Who brings too much waits for the next look, behind those who
// wait already: the first of them looks, for all.
type burden struct {
	mu      lock.Mutex[lock.Burden]
	bytes   int
	waiting []*bearer
}

// A bearer is told with true to go on, and with false to look at the network.
type bearer struct {
	bytes int
	told  chan bool
}

// takeOn returns when it is the turn of n bytes that are to be read, parsed or processed.
func (b *burden) takeOn(n int) {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.fits(n) {
		b.bytes += n
		b.mu.Unlock()
		return
	}
	me := &bearer{n, make(chan bool, 1)}
	b.waiting = append(b.waiting, me)
	first := len(b.waiting) == 1
	b.mu.Unlock()
	if first || !<-me.told {
		giveWay()
		b.letGo()
	}
}

// fits is true of the first, however large, so that it is somebody's turn after each look.
// The caller holds mu.
func (b *burden) fits(n int) bool { return b.bytes == 0 || b.bytes+n <= muchAtOnce }

// letGo lets go on, after a look, the caller, who is the first of those who wait, and as
// many behind it as fit.
func (b *burden) letGo() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes = 0
	for i, x := range b.waiting {
		if !b.fits(x.bytes) {
			x.told <- false
			b.waiting = append(b.waiting[:0], b.waiting[i:]...)
			return
		}
		b.bytes += x.bytes
		if i > 0 {
			x.told <- true
		}
	}
	b.waiting = nil
}

// read is codec.Read, which takes large payloads on, to read them and to process them.
func (b *burden) read(r io.Reader, l codec.Limits) (*codec.Batch, error) {
	t := bearing.Get().(*bearingReader)
	t.Reader, t.burden = r, b
	batch, err := codec.Read(t, l)
	*t = bearingReader{}
	bearing.Put(t)
	if err == nil && batch.Size() >= largePayload {
		b.takeOn(batch.Size())
	}
	return batch, err
}

var bearing = sync.Pool{New: func() any { return new(bearingReader) }}

// A bearingReader reads a payload.
type bearingReader struct {
	io.Reader
	burden     *burden
	size, took int
}

func (t *bearingReader) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.size += n
	if more := t.size - t.took; more >= largePart || err == io.EOF && t.size >= largePayload {
		t.took = t.size
		t.burden.takeOn(more)
	}
	return n, err
}
