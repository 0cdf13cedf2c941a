package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A lineWriter writes lines of JSON, each with one Write, in the form that a
// terminal shows as it is.
type lineWriter struct{ io.Writer }

func (w lineWriter) Write(line []byte) (int, error) {
	end := len(line) - 1 // the line break
	if shown(line[:end]) {
		return w.Writer.Write(line)
	}
	if _, err := w.Writer.Write(append(appendPlain(nil, line[:end]), '\n')); err != nil {
		return 0, err
	}
	return len(line), nil
}

// plain is text that a terminal shows as it is.
func plain(text string) string { return string(appendPlain(nil, []byte(text))) }

// shown reports whether text is printable ASCII.
func shown(text []byte) bool {
	for _, b := range text {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}

// appendPlain appends text with \u escapes for what a terminal would obey
// instead of show, such as control characters of eight bits, or that changes the
// order of other text. JSON says the same with them.
func appendPlain(dst, text []byte) []byte {
	const joiner, nonJoiner = '\u200d', '\u200c' // parts of words, and of emoji
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, `\ufffd`...)
		case unicode.IsGraphic(r), r == joiner, r == nonJoiner:
			dst = append(dst, text[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		text = text[n:]
	}
	return dst
}
