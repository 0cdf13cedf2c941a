package codec

import (
	"io"
	"slices"
	"sync"
	"unsafe"

	"github.com/gocometd/cometd/bayeux"
)

// A Batch is a payload that was read. It belongs to one goroutine at a time,
// until Release.
type Batch struct {
	// Views are the payload's messages, in order; none for an empty array.
	Views []View

	parser parser
	buffer []byte // what Read read into
	size   int    // of the payload
	names  names
	live   bool
}

// A View is one message of a [Batch]: slices into the batch's buffer, good
// until it is released, never to be changed. What a View does not show is
// reached by Detach.
//
// A missing field is nil, and so is one that is null, save for data; an empty
// string is not nil. A channel or clientId of a wrong type counts as missing,
// an id of a wrong type is empty.
type View struct {
	Channel  []byte
	ID       []byte // also the digits of a numeric id
	ClientID []byte
	Data     Raw // zero: no data field
	Ext      Raw // the whole object
	Outcome  bayeux.Outcome

	more  bool   // the message has fields that are not here
	text  []byte // the whole object
	batch *Batch
}

var pool = sync.Pool{New: func() any { return new(Batch) }}

// kept is the capacity, in bytes, above which a batch does not take back to the pool what
// it parsed into, and keptBuffer that of what it read into: it holds any payload of
// DefaultBytes, or else a few peers that send such would have garbage collected all the
// time.
const (
	kept       = 64 << 10
	keptBuffer = 2 * DefaultBytes
)

// Read reads r to its end and parses what it read; io.EOF is the end of the
// payload. Another error of r is returned as it is; a payload that is refused
// gives an [*Error], as does one of more than l.Bytes, of which no more is
// read. A lone object counts as a batch of one, an empty array is an empty
// batch.
func Read(r io.Reader, l Limits) (*Batch, error) {
	l = l.orDefaults()
	b := pool.Get().(*Batch)
	b.live = true
	if err := b.read(r, l.Bytes); err != nil {
		b.Release()
		return nil, err
	}
	return b.parse(b.buffer, l)
}

// Parse is Read for a payload that is in memory. It is not copied: the Views
// are slices of it, and it must stay as it is until Release.
func Parse(payload []byte, l Limits) (*Batch, error) {
	l = l.orDefaults()
	if len(payload) > l.Bytes {
		return nil, tooLarge(l.Bytes)
	}
	b := pool.Get().(*Batch)
	b.live = true
	return b.parse(payload, l)
}

func (b *Batch) parse(payload []byte, l Limits) (*Batch, error) {
	b.parser.limits = l
	if err := b.parser.parse(payload); err != nil {
		b.Release()
		return nil, err
	}
	b.Views, b.size = b.parser.views, len(payload)
	for i := range b.Views {
		b.Views[i].batch = b
	}
	return b, nil
}

// Size is how many bytes the payload has.
func (b *Batch) Size() int { return b.size }

// Release gives the batch's memory back; neither it nor its Views may be used
// again. What was detached lives on.
func (b *Batch) Release() {
	if !b.live {
		return
	}
	b.live = false
	b.Views = nil
	p := &b.parser
	if len(p.views) == 1 { // as most payloads have, and cheaper so
		p.views[0] = View{}
	} else {
		clear(p.views)
	}
	p.views = trim(p.views[:0], kept/int(unsafe.Sizeof(View{})))
	p.full = trim(p.full[:0], kept/8)
	p.scratch = trim(p.scratch[:0], kept)
	p.fault, p.field, p.deep = 0, 0, false
	b.buffer = trim(b.buffer[:0], keptBuffer)
	pool.Put(b)
}

// trim drops s if it has grown past most.
func trim[E any](s []E, most int) []E {
	if cap(s) > most {
		return nil
	}
	return s
}

// read fills the buffer from r, with at most limit bytes.
func (b *Batch) read(r io.Reader, limit int) error {
	if l, ok := r.(interface{ Len() int }); ok && l.Len() < limit {
		b.buffer = slices.Grow(b.buffer, l.Len()+1) // one more, to meet io.EOF in
	}
	for idle := 0; idle < 100; idle++ {
		if len(b.buffer) == cap(b.buffer) {
			b.buffer = slices.Grow(b.buffer, 512)
		}
		end := min(cap(b.buffer)-1, limit) + 1 // the buffer may have been made for a larger limit
		n, err := r.Read(b.buffer[len(b.buffer):end])
		b.buffer = b.buffer[:len(b.buffer)+n]
		switch {
		case len(b.buffer) > limit:
			return tooLarge(limit)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case n > 0:
			idle = 0
		}
	}
	return io.ErrNoProgress
}
