//go:build !js

package wire

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"sync"
)

// Every message is compressed on its own (no context takeover), so that an idle
// connection holds no window and a compressed frame may stand between raw ones.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic("wire: flate.BestSpeed is no longer a level: " + err.Error())
	}
	return w
}}

// A flush ends with this empty block, which RFC 7692 §7.2.1 leaves out.
var flushTail = []byte{0, 0, 0xff, 0xff}

// deflate gives the compressed form of b, or false if it is no smaller.
func (b *buffer) deflate() (*buffer, bool) {
	out := newBuffer()
	w := deflaters.Get().(*flate.Writer)
	w.Reset(out)
	w.Write(b.payload()) // out never fails
	w.Flush()
	w.Reset(nil)
	deflaters.Put(w)
	out.b = bytes.TrimSuffix(out.b, flushTail)
	if len(out.b) >= len(b.b) {
		out.free()
		return nil, false
	}
	return out, true
}

// Inflate lets messages come compressed from now on. The peer must have agreed
// to permessage-deflate; takeover says that it may refer to messages before,
// for which some 40 KiB are then held.
func (r *Reader) Inflate(takeover bool) {
	r.compressed = true
	if takeover {
		r.window = &window{}
	}
}

const (
	// windowSize is how far back a compressed message may refer.
	windowSize = 32 << 10

	// slack is what comes to a window before its beginning is dropped, so that
	// not every few bytes move it.
	slack = 8 << 10
)

// A window is the end of what a peer has said that does not begin anew with
// each message.
type window struct{ b []byte }

func (w *window) add(p []byte) {
	p = p[max(0, len(p)-windowSize):]
	if n := len(w.b) + len(p); n > windowSize+slack {
		w.b = w.b[:copy(w.b, w.b[n-windowSize:])]
	}
	w.b = append(w.b, p...)
}

func (w *window) last() []byte {
	if w == nil {
		return nil
	}
	return w.b[max(0, len(w.b)-windowSize):]
}

// An inflater undoes the compression of one message.
type inflater struct {
	r     *Reader
	came  int64         // compressed bytes of it
	in    *bufio.Reader // of packed; flate reads it to the end of a last block and no further
	flate io.ReadCloser
	tail  string // what ends it, as far as in has not read it
}

// tail is what RFC 7692 §7.2.1 leaves out, and a last block.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

var inflaters = sync.Pool{New: func() any { return &inflater{in: bufio.NewReader(nil), flate: flate.NewReader(nil)} }}

func newInflater(r *Reader) *inflater {
	z := inflaters.Get().(*inflater)
	z.r, z.came, z.tail = r, r.frame.size, tail
	z.in.Reset(packed{z})
	z.begin()
	return z
}

// begin makes flate ready for a first block.
func (z *inflater) begin() {
	_ = z.flate.(flate.Resetter).Reset(z.in, z.r.window.last()) // never fails
}

func (z *inflater) free() {
	z.r = nil
	inflaters.Put(z)
}

// Read goes on after a last block (RFC 7692 §7.2.3.4), which a sender may put
// anywhere. What follows then may refer to what was before only with takeover:
// without, nobody has kept it.
func (z *inflater) Read(p []byte) (int, error) {
	for {
		n, err := z.flate.Read(p)
		if w := z.r.window; w != nil {
			w.add(p[:n])
		}
		if err != io.EOF || z.whole() {
			return n, err
		}
		if z.begin(); n > 0 {
			return n, nil
		}
	}
}

// whole reports whether nothing of the message is left but the tail, or cannot
// come: judge knows why. It may wait for a frame.
func (z *inflater) whole() bool {
	_, err := z.in.Peek(1)
	return err != nil || z.in.Buffered() <= len(tail)-len(z.tail)
}

// packed is the compressed message and its tail.
type packed struct{ *inflater }

func (z packed) Read(p []byte) (int, error) {
	n, err := z.r.raw(p)
	if err == io.EOF && z.tail != "" {
		n = copy(p, z.tail)
		z.tail = z.tail[n:]
		err = nil
	}
	return n, err
}
