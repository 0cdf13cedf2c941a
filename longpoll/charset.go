package longpoll

import (
	"unicode/utf16"
	"unicode/utf8"
)

// charsets are the encodings of a request that are understood
// (docs/protocol.md §9), by lower-case name; nil: UTF-8 as it stands.
var charsets = map[string]func([]byte) []byte{
	"":           nil,
	"utf-8":      nil,
	"utf8":       nil,
	"us-ascii":   nil,
	"iso-8859-1": latin1,
	"utf-16":     utf16Marked,
	"utf-16be":   func(b []byte) []byte { return fromUTF16(b, 0) },
	"utf-16le":   func(b []byte) []byte { return fromUTF16(b, 1) },
}

func latin1(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/8)
	for _, c := range b {
		out = utf8.AppendRune(out, rune(c))
	}
	return out
}

// utf16Marked reads the byte order from the mark; without one it is big-endian.
func utf16Marked(b []byte) []byte {
	switch {
	case len(b) >= 2 && b[0] == 0xff && b[1] == 0xfe:
		return fromUTF16(b[2:], 1)
	case len(b) >= 2 && b[0] == 0xfe && b[1] == 0xff:
		return fromUTF16(b[2:], 0)
	}
	return fromUTF16(b, 0)
}

// fromUTF16 decodes b, whose units have their low byte first if little is 1. A
// byte too many is left over as one that is not UTF-8.
func fromUTF16(b []byte, little int) []byte {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i+little])<<8 | uint16(b[2*i+1-little])
	}
	out := make([]byte, 0, len(b))
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	if len(b)%2 == 1 {
		out = append(out, 0xff)
	}
	return out
}
