package codec

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The scanner works on indexes: each function takes the payload and where to
// start, and returns the index past what it read, or ^offset of the byte that
// stopped it. It reads eight bytes at a time where it can; what that brings is
// measured by BenchmarkDecode in package bench.

const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	spaces = 0x2020202020202020
	quotes = 0x2222222222222222
	slants = 0x5c5c5c5c5c5c5c5c
)

// special marks, by the high bit of the lowest marked byte, the first byte of
// w that ends a plain run in a string: quote, backslash, control character or
// non-ASCII. Only the lowest mark is exact, because borrows run upwards.
func special(w uint64) uint64 {
	return ((w - spaces) | ((w ^ quotes) - ones) | ((w ^ slants) - ones) | w) & highs
}

// load reads the eight bytes at i, which the caller knows to be there. The
// compiler does not, and its check would cost a tenth of the whole scan: see
// BenchmarkDecode in package bench.
func load(b []byte, i int) uint64 {
	p := (*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
	return binary.LittleEndian.Uint64(p[:])
}

// scanString scans from i, past an opening quote, to the closing one, and
// tells whether it saw an escape.
func scanString(b []byte, i int) (end int, escaped bool) {
	for {
		limit := min(len(b)-8, i+64)
		for i <= limit {
			if m := special(load(b, i)); m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				goto stop
			}
			i += 8
		}
		if i+32 <= len(b) {
			i = skipPlain(b, i)
			continue
		}
		for ; i < len(b); i++ {
			if c := b[i]; c == '"' || c == '\\' || c < ' ' || c >= 0x80 {
				goto stop
			}
		}
		return ^i, escaped
	stop:
		switch c := b[i]; {
		case c == '"':
			return i, escaped
		case c == '\\':
			escaped = true
			i = scanEscape(b, i)
		case c >= 0x80:
			i = scanRunes(b, i)
		default:
			return ^i, escaped
		}
		if i < 0 {
			return i, escaped
		}
	}
}

// skipPlain goes on through a long plain run, four words a turn.
func skipPlain(b []byte, i int) int {
	for i+32 <= len(b) {
		t := b[i : i+32 : i+32]
		if special(load(t, 0))|special(load(t, 8))|special(load(t, 16))|special(load(t, 24)) != 0 {
			break
		}
		i += 32
	}
	return i
}

// scanEscape scans the escape at i.
func scanEscape(b []byte, i int) int {
	if i+1 >= len(b) {
		return ^len(b)
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 <= len(b) && hex[b[i+2]]|hex[b[i+3]]|hex[b[i+4]]|hex[b[i+5]] < 16 {
			return i + 6
		}
	}
	return ^i
}

// scanRunes scans a run of characters beyond ASCII. Overlong forms,
// surrogates and what lies beyond U+10FFFF stop it.
func scanRunes(b []byte, i int) int {
	for i < len(b) && b[i] >= 0x80 {
		c := b[i]
		switch {
		case c >= 0xE1 && c <= 0xEF && c != 0xED:
			if i+3 > len(b) || b[i+1]&0xC0 != 0x80 || b[i+2]&0xC0 != 0x80 {
				return ^i
			}
			i += 3
		case c >= 0xC2 && c <= 0xDF:
			if i+2 > len(b) || b[i+1]&0xC0 != 0x80 {
				return ^i
			}
			i += 2
		case c == 0xE0:
			if i+3 > len(b) || b[i+1]&0xE0 != 0xA0 || b[i+2]&0xC0 != 0x80 {
				return ^i
			}
			i += 3
		case c == 0xED:
			if i+3 > len(b) || b[i+1]&0xE0 != 0x80 || b[i+2]&0xC0 != 0x80 {
				return ^i
			}
			i += 3
		case c >= 0xF0 && c <= 0xF4:
			if i+4 > len(b) || b[i+1]&0xC0 != 0x80 || b[i+2]&0xC0 != 0x80 || b[i+3]&0xC0 != 0x80 ||
				c == 0xF0 && b[i+1] < 0x90 || c == 0xF4 && b[i+1] > 0x8F {
				return ^i
			}
			i += 4
		default:
			return ^i
		}
	}
	return i
}

// scanNumber scans the number at i.
func scanNumber(b []byte, i int) int {
	if b[i] == '-' {
		if i++; i >= len(b) {
			return ^i
		}
	}
	switch c := b[i]; {
	case c == '0':
		i++
	case c-'1' <= 8:
		i++
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
	default:
		return ^i
	}
	if i < len(b) && b[i] == '.' {
		if i = scanDigits(b, i+1); i < 0 {
			return i
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = scanDigits(b, i)
	}
	return i
}

// scanDigits scans one digit or more.
func scanDigits(b []byte, i int) int {
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return ^i
	}
	return i
}

// skipSpace returns the index of the first byte at or after i that is not
// white space; len(b) if there is none.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

const (
	wordTrue = 't' | 'r'<<8 | 'u'<<16 | 'e'<<24
	wordAlse = 'a' | 'l'<<8 | 's'<<16 | 'e'<<24
	wordNull = 'n' | 'u'<<8 | 'l'<<16 | 'l'<<24
)

func isWord(b []byte, i int, word uint32) bool {
	return i+4 <= len(b) && binary.LittleEndian.Uint32(b[i:]) == word
}

// hex maps a hexadecimal digit to its value, and all else to 0xff.
var hex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c - '0'
	}
	for c := byte('a'); c <= 'f'; c++ {
		t[c] = c - 'a' + 10
		t[c-'a'+'A'] = c - 'a' + 10
	}
	return t
}()
