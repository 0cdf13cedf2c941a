package binary

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// alphabet is that of Z85, which needs no escape in JSON.
const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// pairs are all two-character groups, by value, as little-endian words: 14 KiB,
// which stay in the first-level cache. One division by 85² makes two characters.
var pairs = func() (t [85 * 85]uint16) {
	for i := range t {
		t[i] = uint16(alphabet[i/85]) | uint16(alphabet[i%85])<<8
	}
	return t
}()

// digits are the values of a character at each of the five places. What is not
// in the alphabet is so large that no sum with it fits 32 bits.
var digits = func() (t [5][256]uint64) {
	for place := range t {
		weight := uint64(1)
		for range 4 - place {
			weight *= 85
		}
		for c := range t[place] {
			t[place][c] = 1 << 40
		}
		for value, c := range []byte(alphabet) {
			t[place][c] = uint64(value) * weight
		}
	}
	return t
}()

// EncodedLen returns the length of n bytes in Z85.
func EncodedLen(n int) int {
	if tail := n % 4; tail > 0 {
		return n/4*5 + tail + 1
	}
	return n / 4 * 5
}

// DecodedLen returns the length in bytes of n characters of Z85.
func DecodedLen(n int) int { return n/5*4 + max(0, n%5-1) }

// AppendEncode appends src in Z85 to dst (docs/protocol.md §16): five
// characters for four bytes, and for a tail of n bytes n+1.
func AppendEncode(dst, src []byte) []byte {
	at := len(dst)
	dst = slices.Grow(dst, EncodedLen(len(src)))
	out := dst[at : at+EncodedLen(len(src))] // what is behind it is the caller's
	i, o := 0, 0
	for ; i+8 <= len(src) && o+13 <= len(out); i, o = i+8, o+10 {
		v := binary.BigEndian.Uint64(src[i:])
		binary.LittleEndian.PutUint64(out[o:], encode(uint32(v>>32)))
		binary.LittleEndian.PutUint64(out[o+5:], encode(uint32(v)))
	}
	for ; i < len(src); i, o = i+4, o+5 {
		var word [4]byte
		copy(word[:], src[i:])
		var text [8]byte
		binary.LittleEndian.PutUint64(text[:], encode(binary.BigEndian.Uint32(word[:])))
		copy(out[o:], text[:5])
	}
	return dst[:at+EncodedLen(len(src))]
}

// encode returns five characters, the first one lowest.
func encode(v uint32) uint64 {
	high := v / (85 * 85)
	low := v - high*(85*85)
	first := high / (85 * 85)
	mid := high - first*(85*85)
	return uint64(alphabet[first]) | uint64(pairs[mid])<<8 | uint64(pairs[low])<<24
}

// AppendDecode appends the bytes that src encodes to dst. It fails if src has a
// character outside the alphabet, a group beyond 32 bits, or a tail of one
// character, and then returns dst as it was.
func AppendDecode(dst, src []byte) ([]byte, error) {
	start := len(dst)
	dst = slices.Grow(dst, DecodedLen(len(src)))
	out := dst[start : start+DecodedLen(len(src))] // what is behind it is the caller's
	i, o := 0, 0
	for ; i+10 <= len(src) && o+8 <= len(out); i, o = i+10, o+8 {
		g := src[i : i+10 : i+10]
		v, w := decode([5]byte(g)), decode([5]byte(g[5:]))
		if (v|w)>>32 != 0 {
			break // one of the two is told below
		}
		binary.BigEndian.PutUint64(out[o:], v<<32|w)
	}
	for ; i < len(src); i, o = i+5, o+4 {
		word := [5]byte{'#', '#', '#', '#', '#'}
		n := copy(word[:], src[i:])
		v := decode(word)
		if v>>32 != 0 || n == 1 {
			return dst[:start], fmt.Errorf("binary: not Z85 at character %d: %q", i, src[i:i+n])
		}
		var bytes [4]byte
		binary.BigEndian.PutUint32(bytes[:], uint32(v))
		copy(out[o:], bytes[:])
	}
	return dst[:start+DecodedLen(len(src))], nil
}

// decode returns the value of five characters, more than 32 bits if they have
// none.
func decode(c [5]byte) uint64 {
	return digits[0][c[0]] + digits[1][c[1]] + digits[2][c[2]] + digits[3][c[3]] + digits[4][c[4]]
}
