package codec

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"

	goccy "github.com/goccy/go-json"
	"github.com/gocometd/cometd/bayeux"
)

// JSON encodes and decodes the data of users. Messages themselves never pass
// through it, and it only ever decodes what the scanner has validated. Both
// methods must be safe for concurrent use.
type JSON interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(b []byte, v any) error
}

var (
	// Fast is github.com/goccy/go-json: what encoding/json does, several
	// times as fast. It is the default everywhere.
	Fast JSON = fast{}
	// Std is encoding/json.
	Std JSON = std{}
)

// Neither escapes <, > and &, which JSON does not ask for: they are three to
// six bytes more each, in every copy.

type fast struct{}

func (fast) Marshal(v any) ([]byte, error) {
	return goccy.MarshalWithOption(v, goccy.DisableHTMLEscape())
}

func (fast) Unmarshal(b []byte, v any) error { return goccy.Unmarshal(b, v) }

type std struct{}

func (std) Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := stdjson.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func (std) Unmarshal(b []byte, v any) error { return stdjson.Unmarshal(b, v) }

// marshal turns a panic, of j or of the value's own methods, into an error:
// the codec's edge is where it ends.
func marshal(j JSON, v any) (b []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			b, err = nil, fmt.Errorf("codec: encoding %T panicked: %v", v, r)
		}
	}()
	if b, err = j.Marshal(v); err != nil {
		return nil, fmt.Errorf("codec: encoding %T: %w", v, err)
	}
	return b, nil
}

func unmarshal(j JSON, b []byte, v any) (err error) {
	if b == nil {
		return bayeux.ErrNoData
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("codec: decoding into %T panicked: %v", v, r)
		}
	}()
	if err := j.Unmarshal(b, v); err != nil {
		return fmt.Errorf("codec: decoding into %T: %w", v, err)
	}
	return nil
}
