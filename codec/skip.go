package codec

import "math/bits"

// A skipper validates any JSON value and finds its end without recursion:
// whether the container it is in is an object or an array is one bit of a
// word, and words that are full are kept aside.
type skipper struct {
	full []uint64
	deep bool // the last skip ended because the value was nested too deep
}

// skip validates the value at i, nested at most room levels deep. It returns
// where the value ends, or the complement of where it is wrong. It is one long
// loop because calls cost here: see BenchmarkDecode in package bench.
func (s *skipper) skip(b []byte, i, room int) int {
	var stack uint64 // 1 for an object, 0 for an array, innermost lowest
	depth := 0
value:
	if i >= len(b) {
		return ^i
	}
	if b[i] <= ' ' {
		if i = skipSpace(b, i); i >= len(b) {
			return ^i
		}
	}
	switch c := b[i]; c {
	case '"':
		i++
		for n := 0; n < 4 && i <= len(b)-8; n++ { // most strings end here
			if m := special(load(b, i)); m != 0 {
				if i += bits.TrailingZeros64(m) >> 3; b[i] == '"' {
					i++
					goto after
				}
				break
			}
			i += 8
		}
		if i, _ = scanString(b, i); i < 0 {
			return i
		}
		i++
	case '{', '[':
		if depth >= room {
			s.deep = true
			return ^i
		}
		if depth&63 == 0 && depth != 0 {
			s.full = append(s.full[:depth>>6-1], stack)
		}
		stack = stack<<1 | uint64(c>>5&1) // '{' is 0x7b, '[' is 0x5b
		depth++
		i++
		if i >= len(b) {
			return ^i
		}
		if b[i] <= ' ' {
			if i = skipSpace(b, i); i >= len(b) {
				return ^i
			}
		}
		if b[i] == c+2 { // '}' or ']'
			goto pop
		}
		if c == '{' {
			goto key
		}
		goto value
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if i = scanNumber(b, i); i < 0 {
			return i
		}
	case 't':
		if !isWord(b, i, wordTrue) {
			return ^i
		}
		i += 4
	case 'f':
		if !isWord(b, i+1, wordAlse) {
			return ^i
		}
		i += 5
	case 'n':
		if !isWord(b, i, wordNull) {
			return ^i
		}
		i += 4
	default:
		return ^i
	}
after:
	if depth == 0 {
		return i
	}
	if i >= len(b) {
		return ^i
	}
	if b[i] <= ' ' {
		if i = skipSpace(b, i); i >= len(b) {
			return ^i
		}
	}
	if stack&1 != 0 {
		if b[i] == ',' {
			i++
			if i >= len(b) {
				return ^i
			}
			goto key
		}
		if b[i] != '}' {
			return ^i
		}
	} else {
		if b[i] == ',' {
			i++
			goto value
		}
		if b[i] != ']' {
			return ^i
		}
	}
pop:
	i++
	depth--
	stack >>= 1
	if depth&63 == 0 && depth != 0 {
		stack = s.full[depth>>6-1]
	}
	goto after
key:
	if b[i] <= ' ' {
		if i = skipSpace(b, i); i >= len(b) {
			return ^i
		}
	}
	if b[i] != '"' {
		return ^i
	}
	i++
	for n := 0; n < 4 && i <= len(b)-8; n++ {
		if m := special(load(b, i)); m != 0 {
			if i += bits.TrailingZeros64(m) >> 3; b[i] == '"' {
				goto named
			}
			break
		}
		i += 8
	}
	if i, _ = scanString(b, i); i < 0 {
		return i
	}
named:
	i++
	if i >= len(b) {
		return ^i
	}
	if b[i] != ':' {
		if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
			return ^i
		}
	}
	i++
	goto value
}

// maxDepth bounds what is encoded; encoding/json has the same bound.
const maxDepth = 10000

// check reports why b is not one JSON value, or nil.
func check(b []byte) *Error {
	var p parser
	p.limits.Depth = maxDepth
	i := p.skip(b, 0, maxDepth)
	if i >= 0 {
		if i = skipSpace(b, i); i == len(b) {
			return nil
		}
		i = ^i
	}
	if p.deep {
		p.fault = tooDeep
	}
	return p.describe(b, ^i)
}
