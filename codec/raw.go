package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Raw is JSON text that was validated: only Encode and the scanner make it,
// so it can be copied into any payload as it is. It never changes. The zero
// Raw is the absence of a value; null is a value.
//
// A Raw from a [View] is good until its batch is released; Clone it to keep
// it.
type Raw struct{ b []byte }

// Encode makes JSON text of v with [Fast]. A Raw is taken as it is; a
// json.RawMessage or []byte is JSON text, copied, and refused if it is not
// valid; nil is null. A value that cannot be encoded, or whose MarshalJSON
// panics, is an error.
func Encode(v any) (Raw, error) { return EncodeWith(Fast, v) }

// EncodeWith is Encode with another encoder than Fast for values that are not
// JSON text yet. What j returns is validated too.
func EncodeWith(j JSON, v any) (Raw, error) {
	var b []byte
	switch t := v.(type) {
	case nil:
		return Raw{null}, nil
	case Raw:
		if t.b == nil {
			return Raw{null}, nil
		}
		return t, nil
	case json.RawMessage:
		b = t
	case []byte:
		b = t
	default:
		b, err := marshal(j, v)
		if err != nil {
			return Raw{}, err
		}
		if err := check(b); err != nil {
			return Raw{}, fmt.Errorf("codec: %T encoded to bad JSON: %w", v, err)
		}
		return Raw{b}, nil
	}
	if b == nil {
		return Raw{null}, nil
	}
	if err := check(b); err != nil {
		return Raw{}, err
	}
	return Raw{bytes.Clone(b)}, nil
}

var null = []byte("null")

// AppendTo appends the text to dst.
func (r Raw) AppendTo(dst []byte) []byte { return append(dst, r.b...) }

// Len returns the length of the text in bytes.
func (r Raw) Len() int { return len(r.b) }

// IsZero reports whether there is no value at all.
func (r Raw) IsZero() bool { return r.b == nil }

// Clone returns a Raw in memory of its own.
func (r Raw) Clone() Raw { return Raw{bytes.Clone(r.b)} }

// Decode stores the value in v with [Fast]. It returns bayeux.ErrNoData if
// there is none.
func (r Raw) Decode(v any) error { return r.DecodeWith(Fast, v) }

// DecodeWith is Decode with another decoder than Fast.
func (r Raw) DecodeWith(j JSON, v any) error { return unmarshal(j, r.b, v) }

// MarshalJSON returns the text, or null for the zero Raw, so that a Raw can be
// part of a value that is encoded.
func (r Raw) MarshalJSON() ([]byte, error) {
	if r.b == nil {
		return null, nil
	}
	return r.b, nil
}

// String returns the text. It may be long, and is the peer's: for a log it
// needs cutting and quoting.
func (r Raw) String() string { return string(r.b) }
