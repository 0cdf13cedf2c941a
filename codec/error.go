package codec

import (
	"fmt"
	"strconv"
)

// The limits an [Error] may name.
const (
	LimitBytes     = "bytes"
	LimitMessages  = "messages"
	LimitDepth     = "depth"
	LimitDataDepth = "data depth"
)

// An Error says why a payload was refused. If Limit is empty the payload is
// no good; otherwise it is merely too big, and Limit says in which way.
type Error struct {
	Offset int    // of the offending byte in the payload
	Limit  string // the limit that was broken, LimitBytes and so on; "" if none was
	Reason string // `field "ext" is not an object`
}

// Error returns the reason with its offset.
func (e *Error) Error() string {
	return "codec: " + e.Reason + " at offset " + strconv.Itoa(e.Offset)
}

// A fault is why the scanner stopped, kept as a number so that the way of a
// good payload builds no text.
type fault uint8

const (
	unexpected fault = iota // the byte itself says it
	tooDeep
	tooMany
	wrongType
	twice
	loneSurrogate
	notObject
	notBatch
)

// describe makes the Error for the fault at i.
func (p *parser) describe(b []byte, i int) *Error {
	e := &Error{Offset: i}
	switch p.fault {
	case tooDeep:
		e.Limit, e.Reason = LimitDepth, fmt.Sprintf("nesting over the limit of %d", p.limits.Depth)
		if p.field == fData {
			e.Limit, e.Reason = LimitDataDepth, fmt.Sprintf("nesting in data over the limit of %d", p.limits.DataDepth)
		}
	case tooMany:
		e.Limit, e.Reason = LimitMessages, fmt.Sprintf("batch over the limit of %d messages", p.limits.Messages)
	case wrongType:
		e.Reason = fmt.Sprintf("field %q is not %s", p.field.name(), p.field.wants())
	case twice:
		e.Reason = fmt.Sprintf("field %q stands twice", p.field.name())
	case loneSurrogate:
		e.Reason = fmt.Sprintf("field %q has a lone surrogate", p.field.name())
	case notObject:
		e.Reason = "batch holds something else than objects"
	case notBatch:
		e.Reason = "payload is neither an array nor an object"
	default:
		e.Reason = unexpectedByte(b, i)
	}
	return e
}

func tooLarge(limit int) *Error {
	return &Error{Offset: limit, Limit: LimitBytes, Reason: fmt.Sprintf("payload over the limit of %d bytes", limit)}
}

func unexpectedByte(b []byte, i int) string {
	switch {
	case i >= len(b):
		return "unexpected end of JSON"
	case b[i] >= 0x80:
		return "invalid UTF-8 or a character outside a string"
	case b[i] == '\\':
		return "invalid escape"
	}
	return fmt.Sprintf("unexpected character %q", b[i])
}
