// Package wiretest builds and reads WebSocket frames byte by byte, for tests
// that say things no library would say.
package wiretest

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// First bytes of frames.
const (
	Fin   = 0x80
	RSV1  = 0x40
	Cont  = 0x0
	Text  = 0x1
	Bin   = 0x2
	Close = 0x8
	Ping  = 0x9
	Pong  = 0xa
)

// Key masks a frame.
var Key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// Frame is a frame as a server sends it.
func Frame(first byte, payload string) string { return head(first, len(payload), 0) + payload }

// Masked is a frame as a client sends it.
func Masked(first byte, payload string) string {
	p := []byte(payload)
	for i := range p {
		p[i] ^= Key[i%4]
	}
	return MaskedHead(first, len(p)) + string(p)
}

// MaskedHead announces n bytes and the key.
func MaskedHead(first byte, n int) string { return head(first, n, 0x80) + string(Key[:]) }

func head(first byte, n int, mask byte) string {
	switch {
	case n < 126:
		return string([]byte{first, mask | byte(n)})
	case n < 1<<16:
		return string(binary.BigEndian.AppendUint16([]byte{first, mask | 126}, uint16(n)))
	}
	return string(binary.BigEndian.AppendUint64([]byte{first, mask | 127}, uint64(n)))
}

// Code is the payload of a close frame.
func Code(code int, text string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + text
}

// Deflate is the payload of a compressed message (RFC 7692 §7.2.1).
func Deflate(text string) string {
	var b strings.Builder
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	io.WriteString(w, text)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// Inflate undoes Deflate.
func Inflate(payload string) (string, error) {
	const last = "\x01\x00\x00\xff\xff" // an empty final block
	b, err := io.ReadAll(flate.NewReader(strings.NewReader(payload + "\x00\x00\xff\xff" + last)))
	return string(b), err
}

// A Seen is a frame that was read.
type Seen struct {
	First   byte
	Masked  bool
	Key     [4]byte
	Payload string
}

// Code is the code of a close frame, 1005 without one.
func (s Seen) Code() int {
	if len(s.Payload) < 2 {
		return 1005
	}
	return int(binary.BigEndian.Uint16([]byte(s.Payload)))
}

// Read reads one frame.
func Read(r *bufio.Reader) (s Seen, err error) {
	var h [8]byte
	if _, err = io.ReadFull(r, h[:2]); err != nil {
		return s, err
	}
	s.First, s.Masked = h[0], h[1]&0x80 != 0
	n := uint64(h[1] & 0x7f)
	switch n {
	case 126:
		_, err = io.ReadFull(r, h[:2])
		n = uint64(binary.BigEndian.Uint16(h[:2]))
	case 127:
		_, err = io.ReadFull(r, h[:8])
		n = binary.BigEndian.Uint64(h[:8])
	}
	if err == nil && s.Masked {
		_, err = io.ReadFull(r, s.Key[:])
	}
	if err != nil || n > 64<<20 {
		return s, fmt.Errorf("wiretest: frame of %d bytes: %w", n, err)
	}
	p := make([]byte, n)
	_, err = io.ReadFull(r, p)
	if s.Masked {
		for i := range p {
			p[i] ^= s.Key[i%4]
		}
	}
	s.Payload = string(p)
	return s, err
}
