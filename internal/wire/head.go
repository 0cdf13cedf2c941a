//go:build !js

package wire

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// A head is the header of a frame that came (RFC 6455 §5.2).
type head struct {
	first  byte
	masked bool
	key    uint32 // of the byte that is unmasked next
	size   int64  // of the payload; negative: more than 63 bits
	padded bool   // fewer bytes would have told size
}

func (h head) op() byte      { return h.first & opcode }
func (h head) fin() bool     { return h.first&fin != 0 }
func (h head) control() bool { return h.first&controls != 0 }

// unmask takes the mask off the next bytes of the payload.
func (h *head) unmask(p []byte) {
	if h.masked {
		xor(p, h.key)
		h.key = bits.RotateLeft32(h.key, -8*(len(p)&3))
	}
}

// head reads the header of the next frame.
func (r *Reader) head() (h head, err error) {
	var b [maxHead]byte
	if err = r.full(b[:2]); err != nil {
		return h, err
	}
	h.first, h.masked = b[0], b[1]&masked != 0
	long, n := 0, b[1]&^masked
	switch n {
	case 126:
		long = 2
	case 127:
		long = 8
	}
	size := long
	if h.masked {
		size += 4
	}
	if err = r.full(b[2 : 2+size]); err != nil {
		return h, err
	}
	switch long {
	case 0:
		h.size = int64(n)
	case 2:
		h.size = int64(binary.BigEndian.Uint16(b[2:]))
		h.padded = h.size < 126
	case 8:
		h.size = int64(binary.BigEndian.Uint64(b[2:]))
		h.padded = h.size>>16 == 0
	}
	if h.masked {
		h.key = binary.LittleEndian.Uint32(b[2+long:])
	}
	return h, nil
}

// fault is what is wrong with a frame at this place, or "".
func (r *Reader) fault(h head) string {
	op, data := h.op(), !h.control()
	switch {
	case data && op > opBinary, op > opPong:
		return "unknown opcode"
	case h.first&reserved != 0:
		return "reserved bit"
	case h.first&rsv1 != 0 && (!r.compressed || !data || op == opContinuation):
		return "compressed frame that may not be"
	case h.masked == r.sock.cfg.Client:
		if h.masked {
			return "masked frame from a server"
		}
		return "frame without a mask"
	case h.size < 0:
		return "length of more than 63 bits"
	case h.padded:
		return "length in more bytes than it needs"
	case !data && !h.fin():
		return "control frame in fragments"
	case !data && h.size > maxControl:
		return "control frame of more than 125 bytes"
	case data && op == opContinuation && !r.open:
		return "continuation of nothing"
	case data && op != opContinuation && r.open:
		return "message within a message"
	}
	return ""
}

const badText = "close reason is not UTF-8"

// parseClose reads the payload of a close frame, or says what is wrong with it.
func parseClose(p []byte) (code int, text, why string) {
	switch {
	case len(p) == 0:
		return 1005, "", ""
	case len(p) == 1:
		return 0, "", "close frame with half a code"
	}
	code = int(binary.BigEndian.Uint16(p))
	switch {
	case !sendable(code):
		return 0, "", "close code that is not for the wire"
	case !utf8.Valid(p[2:]):
		return 0, "", badText
	}
	return code, string(p[2:]), ""
}

// sendable reports whether a close frame may carry code (RFC 6455 §7.4).
func sendable(code int) bool {
	switch {
	case code >= 3000:
		return code < 5000
	case code < 1000, code > 1014:
		return false
	}
	return code != 1004 && code != 1005 && code != 1006
}
