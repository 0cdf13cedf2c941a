package codec

import (
	"unicode/utf8"
	"unsafe"
)

// appendString appends s in quotes. Bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte { return appendQuoted(append(dst, '"'), s) }

// appendQuoted is appendString behind a quote. What stands in JSON as it is, which is most
// of all, is looked through here: a function for that costs a reply some percent.
func appendQuoted(dst []byte, s string) []byte {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if special(load(b, i)) != 0 {
			return append(appendEscaped(dst, s), '"')
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return append(appendEscaped(dst, s), '"')
		}
	}
	return append(append(dst, s...), '"')
}

func appendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		r, n := rune(c), 1
		if c >= utf8.RuneSelf {
			if r, n = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch r {
		case utf8.RuneError:
			dst = append(dst, "\ufffd"...)
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i += n
		start = i
	}
	return append(dst, s[start:]...)
}

// textOf lends b as a string for the time of one call.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
