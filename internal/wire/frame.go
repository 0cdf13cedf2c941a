//go:build !js

package wire

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"unicode/utf8"
)

// The first byte of a frame (RFC 6455 §5.2).
const (
	fin      = 0x80
	rsv1     = 0x40 // the payload is compressed (RFC 7692 §6)
	reserved = 0x30
	opcode   = 0x0f
	controls = 0x08 // the bit that all control frames have

	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

const (
	masked     = 0x80
	maxHead    = 14  // 2, length of 8, mask key of 4
	maxControl = 125 // payload bytes of a control frame
	keptBuffer = 128 << 10
)

// A buffer holds one frame: maxHead bytes of room, then its payload.
type buffer struct{ b []byte }

func (b *buffer) Write(p []byte) (int, error) {
	b.b = append(b.b, p...)
	return len(p), nil
}

func (b *buffer) payload() []byte { return b.b[maxHead:] }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, maxHead, 4096)} }}

func newBuffer() *buffer {
	b := buffers.Get().(*buffer)
	b.b = b.b[:maxHead]
	return b
}

// free gives b back. A rare huge frame is left to the garbage collector.
func (b *buffer) free() {
	if b != nil && cap(b.b) <= keptBuffer {
		buffers.Put(b)
	}
}

// frame puts the header right before the payload and returns the whole frame.
// A client's payload is masked in place, with a key nobody can foresee.
func (b *buffer) frame(first byte, client bool) []byte {
	n, size := len(b.b)-maxHead, 2
	switch {
	case n > 0xffff:
		size = 10
	case n > maxControl:
		size = 4
	}
	var mask byte
	if client {
		mask, size = masked, size+4
	}
	f := b.b[maxHead-size:]
	f[0] = first
	switch {
	case n > 0xffff:
		f[1] = mask | 127
		binary.BigEndian.PutUint64(f[2:], uint64(n))
	case n > maxControl:
		f[1] = mask | 126
		binary.BigEndian.PutUint16(f[2:], uint16(n))
	default:
		f[1] = mask | byte(n)
	}
	if client {
		key := f[size-4 : size]
		rand.Read(key) // never fails
		xor(f[size:], binary.LittleEndian.Uint32(key))
	}
	return f
}

// xor applies a mask key to p, eight bytes at a time.
func xor(p []byte, key uint32) {
	wide := uint64(key)<<32 | uint64(key)
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^wide)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= byte(wide >> (8 * i))
	}
}

// control builds a control frame.
func control(first byte, payload []byte, client bool) []byte {
	b := buffer{append(make([]byte, maxHead, maxHead+len(payload)), payload...)}
	return b.frame(first, client)
}

// closeFrame builds a close frame: with 1005, which is no code for the wire, one
// without a code. A text that is too long is cut.
func closeFrame(code int, text string, client bool) []byte {
	if code == 1005 {
		return control(fin|opClose, nil, client)
	}
	for len(text) > maxControl-2 {
		_, last := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-last]
	}
	p := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(text)), uint16(code))
	return control(fin|opClose, append(p, text...), client)
}
