package codec

import (
	"unicode/utf16"
	"unicode/utf8"
)

// unescape returns s, a scanned string with escapes, in plain. It lives in
// the parser's scratch; when that grows, what was in it stays where it was. A
// lone surrogate becomes U+FFFD and is reported.
func (p *parser) unescape(s []byte) (plain []byte, lone bool) {
	if cap(p.scratch)-len(p.scratch) < len(s) {
		p.scratch = make([]byte, 0, max(2*cap(p.scratch), len(s), 256))
	}
	start := len(p.scratch)
	p.scratch, lone = appendUnescaped(p.scratch, s)
	return p.scratch[start:len(p.scratch):len(p.scratch)], lone
}

// appendUnescaped appends the plain form of s, which is never longer.
func appendUnescaped(dst, s []byte) (_ []byte, lone bool) {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			i++
			continue
		}
		if s[i+1] != 'u' {
			dst = append(dst, plainEscape(s[i+1]))
			i += 2
			continue
		}
		r := hex4(s[i+2:])
		i += 6
		if utf16.IsSurrogate(r) {
			low := rune(utf8.RuneError)
			if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
				low = hex4(s[i+2:])
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				lone = true
			} else {
				i += 6
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, lone
}

func plainEscape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func hex4(s []byte) rune {
	return rune(hex[s[0]])<<12 | rune(hex[s[1]])<<8 | rune(hex[s[2]])<<4 | rune(hex[s[3]])
}
