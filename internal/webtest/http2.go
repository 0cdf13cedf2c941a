package webtest

import (
	"encoding/binary"
	"io"
	"net"
)

// Types of HTTP/2 frames (RFC 9113 §6).
const (
	Data         byte = 0
	Headers      byte = 1
	ResetStream  byte = 3
	settings     byte = 4
	ping         byte = 6
	windowUpdate byte = 8
)

const (
	endStream  = 1
	endHeaders = 4
)

// An HTTP2 is a client's end of an HTTP/2 connection that reads, acknowledges and
// lets through only what it is told to.
type HTTP2 struct {
	net.Conn
	streams uint32
}

// A Frame is what the server has sent.
type Frame struct {
	Type    byte
	Stream  uint32
	Payload []byte
}

// NewHTTP2 begins to speak HTTP/2 on c. The server may send window bytes on each
// stream, and as many in all, but no fewer than 65,535, which HTTP/2 gives.
func NewHTTP2(c net.Conn, window int) (*HTTP2, error) {
	p := &HTTP2{Conn: c}
	begin := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	begin = appendFrame(begin, settings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, 4}, uint32(window))) // the initial window
	if window > 0 {
		begin = appendFrame(begin, windowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(window)))
	}
	_, err := c.Write(begin)
	return p, err
}

// Ask sends a whole request. The header is names, in lower case, and values in
// turn.
func (p *HTTP2) Ask(method, path, body string, header ...string) error {
	p.streams++
	id := 2*p.streams - 1
	var fields []byte
	for i, text := range append([]string{":method", method, ":scheme", "https", ":authority", "x", ":path", path}, header...) {
		if i%2 == 0 {
			fields = append(fields, 0) // a literal that no table keeps
		}
		fields = append(appendLength(fields, len(text)), text...)
	}
	flags := byte(endHeaders)
	if body == "" {
		flags |= endStream
	}
	request := appendFrame(nil, Headers, flags, id, fields)
	if body != "" {
		request = appendFrame(request, Data, endStream, id, []byte(body))
	}
	_, err := p.Write(request)
	return err
}

// Ping asks for a sign of life.
func (p *HTTP2) Ping() error {
	_, err := p.Write(appendFrame(nil, ping, 0, 0, make([]byte, 8)))
	return err
}

// Next reads the next frame.
func (p *HTTP2) Next() (f Frame, err error) {
	var head [9]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		return f, err
	}
	f = Frame{head[3], binary.BigEndian.Uint32(head[5:]), make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))}
	_, err = io.ReadFull(p, f.Payload)
	return f, err
}

func appendFrame(dst []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	dst = append(dst, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	dst = binary.BigEndian.AppendUint32(dst, stream)
	return append(dst, payload...)
}

// appendLength is HPACK's integer of 7 bits and more, without Huffman's code
// (RFC 7541 §5.1).
func appendLength(dst []byte, n int) []byte {
	if n < 127 {
		return append(dst, byte(n))
	}
	dst = append(dst, 127)
	for n -= 127; n >= 128; n >>= 7 {
		dst = append(dst, byte(n)|128)
	}
	return append(dst, byte(n))
}
