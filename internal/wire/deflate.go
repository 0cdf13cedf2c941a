//go:build !js

package wire

import (
	"bytes"
	"compress/flate"
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
