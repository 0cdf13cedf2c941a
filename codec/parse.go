package codec

import (
	"math/bits"

	"github.com/gocometd/cometd/bayeux"
)

// A parser goes once over a payload and leaves Views. Its methods return
// indexes like the scanner's; what stopped one is in fault and field.
type parser struct {
	skipper
	views   []View
	scratch []byte // strings that had escapes
	limits  Limits
	fault   fault
	field   field
}

// parse reads the whole payload.
func (p *parser) parse(b []byte) *Error {
	i := skipSpace(b, 0)
	switch {
	case i == len(b):
		i = ^i
	case b[i] == '{':
		i = p.message(b, i, p.limits.Depth-1)
	case b[i] == '[':
		i = p.batch(b, i)
	default:
		p.fault = notBatch
		i = ^i
	}
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

// batch reads the array of messages at i.
func (p *parser) batch(b []byte, i int) int {
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i >= len(b) {
			return ^i
		}
		if b[i] != '{' {
			p.fault = notObject
			return ^i
		}
		if len(p.views) >= p.limits.Messages {
			p.fault = tooMany
			return ^i
		}
		if i = p.message(b, i, p.limits.Depth-2); i < 0 {
			return i
		}
		if i = skipSpace(b, i); i >= len(b) {
			return ^i
		}
		if b[i] == ']' {
			return i + 1
		}
		if b[i] != ',' {
			return ^i
		}
		i = skipSpace(b, i+1)
	}
}

// next returns a View, which Release has cleared.
func (p *parser) next() *View {
	n := len(p.views)
	if n < cap(p.views) {
		p.views = p.views[:n+1]
	} else {
		p.views = append(p.views, View{})
	}
	return &p.views[n]
}

// message reads the object at i, in which values may be nested room levels
// deep. It is one long loop because calls cost here: see BenchmarkDecode in
// package bench.
func (p *parser) message(b []byte, i, room int) int {
	if room < 0 {
		p.fault = tooDeep
		return ^i
	}
	v := p.next()
	start := i
	var seen field
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		v.text = b[start : i+1 : i+1]
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return ^i
		}
		i++
		f, named := fUnknown, false
		if i+9 <= len(b) { // the common names, by one word
			w := load(b, i)
			if m := special(w); m == 0 {
				if w == wordClientID && b[i+8] == '"' {
					f, named, i = fClientID, true, i+9
				}
			} else if n := bits.TrailingZeros64(m) &^ 7; byte(w>>n) == '"' {
				f, named, i = shortField(w&(1<<n-1)), true, i+n>>3+1
			}
		}
		if !named {
			if f, i = p.key(b, i); i < 0 {
				return i
			}
		}
		if i+1 < len(b) && b[i] == ':' && b[i+1] > ' ' {
			i++
		} else if i = colon(b, i); i < 0 {
			return i
		}
		if seen&f != 0 {
			p.fault, p.field = twice, f
			return ^i
		}
		seen |= f
		if i = p.value(b, i, v, f, room); i < 0 {
			p.field = f
			return i
		}
		if f&fViewed == 0 {
			v.more = true
		}
		if i < len(b) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
		if i >= len(b) {
			return ^i
		}
		if b[i] == '}' {
			v.text = b[start : i+1 : i+1]
			return i + 1
		}
		if b[i] != ',' {
			return ^i
		}
		i++
		if i < len(b) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
	}
}

// key reads the name that begins at i and returns the index past its quote.
func (p *parser) key(b []byte, i int) (field, int) {
	end, escaped := scanString(b, i)
	if end < 0 {
		return 0, end
	}
	name := b[i:end]
	if escaped {
		name, _ = p.unescape(name)
	}
	return fieldOf(name), end + 1
}

// colon goes past the colon at i to the value.
func colon(b []byte, i int) int {
	if i < len(b) && b[i] <= ' ' {
		i = skipSpace(b, i)
	}
	if i >= len(b) || b[i] != ':' {
		return ^i
	}
	i++
	if i < len(b) && b[i] <= ' ' {
		i = skipSpace(b, i)
	}
	if i >= len(b) {
		return ^i
	}
	return i
}

// value reads the value of field f at i, which is not beyond the end.
func (p *parser) value(b []byte, i int, v *View, f field, room int) int {
	start := i
	if f == fData {
		if i = p.skip(b, i, p.limits.DataDepth); i >= 0 {
			v.Data = Raw{b[start:i:i]}
		}
		return i
	}
	if f != fUnknown && b[i] == 'n' {
		if !isWord(b, i, wordNull) {
			return ^i
		}
		return i + 4
	}
	switch f {
	case fChannel:
		return p.name(b, i, &v.Channel, room)
	case fID:
		if c := b[i]; c == '-' || c-'0' <= 9 {
			if i = scanNumber(b, i); i >= 0 {
				v.ID = b[start:i:i]
			}
			return i
		}
		v.ID = b[start:start:start] // of a wrong type it stays so, and is no legal id
		return p.name(b, i, &v.ID, room)
	case fClientID:
		return p.name(b, i, &v.ClientID, room)
	case fSuccessful:
		return p.outcome(b, i, v)
	case fExt:
		if b[i] != '{' {
			p.fault = wrongType
			return ^i
		}
		if i = p.skip(b, i, room); i >= 0 {
			v.Ext = Raw{b[start:i:i]}
		}
		return i
	case fSubscription, fConnectionTypes:
		return p.names(b, i, f, room)
	case fAdvice, fUnknown:
		return p.skip(b, i, room)
	}
	if b[i] != '"' {
		if f == fTimestamp { // of many forms (docs/protocol.md §16): another is as good as absent
			return p.skip(b, i, room)
		}
		p.fault = wrongType
		return ^i
	}
	end, _ := scanString(b, i+1)
	if end < 0 {
		return end
	}
	return end + 1
}

// name reads the string at i; what is there instead is as good as absent.
func (p *parser) name(b []byte, i int, s *[]byte, room int) int {
	if b[i] != '"' {
		return p.skip(b, i, room)
	}
	for end := i + 1; end <= len(b)-8; end += 8 { // nearly all names are plain
		if m := special(load(b, end)); m != 0 {
			if end += bits.TrailingZeros64(m) >> 3; b[end] != '"' {
				break
			}
			*s = b[i+1 : end : end]
			return end + 1
		}
	}
	return p.text(b, i, s)
}

// text reads the string at i, which names something: it must not hold a lone
// surrogate, which would be U+FFFD here and something else elsewhere.
func (p *parser) text(b []byte, i int, s *[]byte) int {
	if b[i] != '"' {
		p.fault = wrongType
		return ^i
	}
	end, escaped := scanString(b, i+1)
	if end < 0 {
		return end
	}
	*s = b[i+1 : end : end]
	if escaped {
		var lone bool
		if *s, lone = p.unescape(*s); lone {
			p.fault = loneSurrogate
			return ^i
		}
	}
	return end + 1
}

func (p *parser) outcome(b []byte, i int, v *View) int {
	switch {
	case isWord(b, i, wordTrue):
		v.Outcome = bayeux.Succeeded
		return i + 4
	case b[i] == 'f' && isWord(b, i+1, wordAlse):
		v.Outcome = bayeux.Failed
		return i + 5
	}
	p.fault = wrongType
	return ^i
}

// names reads the value at i, an array of strings. A subscription may be
// anything else too: it is for the server to refuse it with a reply
// (docs/protocol.md §4).
func (p *parser) names(b []byte, i int, f field, room int) int {
	switch {
	case b[i] == '[':
		return p.list(b, i, f, room)
	case f != fSubscription:
		p.fault = wrongType
		return ^i
	case b[i] == '"':
		var s []byte
		return p.text(b, i, &s)
	}
	return p.skip(b, i, room)
}

func (p *parser) list(b []byte, i int, f field, room int) int {
	if room < 1 {
		p.fault = tooDeep
		return ^i
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i >= len(b) {
			return ^i
		}
		if b[i] == '"' || f != fSubscription {
			var s []byte
			i = p.text(b, i, &s)
		} else {
			i = p.skip(b, i, room-1)
		}
		if i < 0 {
			return i
		}
		if i = skipSpace(b, i); i >= len(b) {
			return ^i
		}
		if b[i] == ']' {
			return i + 1
		}
		if b[i] != ',' {
			return ^i
		}
		i = skipSpace(b, i+1)
	}
}
