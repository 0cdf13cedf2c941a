//go:build !js

package wire

import "unicode/utf8"

// text checks UTF-8 that comes in pieces. Its zero value is at the start.
type text struct {
	tail [utf8.UTFMax]byte // a rune that the last piece broke off
	n    int
}

// accepts reports whether p may follow what came before.
func (t *text) accepts(p []byte) bool {
	for t.n > 0 && len(p) > 0 {
		t.tail[t.n] = p[0]
		t.n, p = t.n+1, p[1:]
		if !utf8.FullRune(t.tail[:t.n]) {
			continue
		}
		if r, size := utf8.DecodeRune(t.tail[:t.n]); r == utf8.RuneError && size == 1 {
			return false
		}
		t.n = 0
	}
	if utf8.Valid(p) {
		return true
	}
	return t.keep(p)
}

// keep takes a rune that is broken off at the end of p, if that is all that
// is wrong with p.
func (t *text) keep(p []byte) bool {
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) || !utf8.Valid(p[:i]) {
				return false
			}
			t.n = copy(t.tail[:], p[i:])
			return true
		}
	}
	return false
}

// whole reports whether the text may end here.
func (t *text) whole() bool { return t.n == 0 }
