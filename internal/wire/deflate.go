//go:build !js

package wire

import (
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
// for which 32 KiB are then held.
func (r *Reader) Inflate(takeover bool) {
	r.compressed = true
	if takeover {
		r.window = &window{}
	}
}

// windowSize is how far back a compressed message may refer.
const windowSize = 32 << 10

// A window is the end of what a peer has said that does not begin anew with
// each message.
type window struct{ b []byte }

func (w *window) add(p []byte) {
	w.b = append(w.b, p...)
	if len(w.b) > 2*windowSize {
		w.b = append(w.b[:0], w.b[len(w.b)-windowSize:]...)
	}
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
	came  int64 // compressed bytes of it
	flate io.ReadCloser
	tail  string // what ends it
}

var inflaters = sync.Pool{New: func() any { return &inflater{flate: flate.NewReader(nil)} }}

func newInflater(r *Reader) *inflater {
	z := inflaters.Get().(*inflater)
	z.r, z.came = r, r.frame.size
	z.tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"                // what RFC 7692 leaves out, and a last block
	_ = z.flate.(flate.Resetter).Reset(packed{z}, r.window.last()) // never fails
	return z
}

func (z *inflater) free() {
	z.r = nil
	inflaters.Put(z)
}

func (z *inflater) Read(p []byte) (int, error) {
	n, err := z.flate.Read(p)
	if w := z.r.window; w != nil {
		w.add(p[:n])
	}
	if err == io.EOF { // perhaps before the end, see RFC 7692 §7.2.3.4
		_, _ = io.Copy(io.Discard, packed{z}) // judge knows how that has ended
	}
	return n, err
}

// packed is the compressed message, whole.
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
