package bayeux

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Ext is the ext field, parsed one level deep: the name of an extension and
// its JSON text (docs/protocol.md §16). nil means no field; an empty Ext is
// written as {}.
type Ext map[string]json.RawMessage

// Decode stores the named entry in v and reports whether there is one. An
// entry that does not fit v is true and an error.
func (e Ext) Decode(name string, v any) (bool, error) {
	b, ok := e[name]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return true, fmt.Errorf("bayeux: ext %q: %w", name, err)
	}
	return true, nil
}

// Set encodes v as the named entry, by the rules of [Message.SetData], and
// makes the map if there is none.
func (e *Ext) Set(name string, v any) error {
	b, err := encode(v)
	if err != nil {
		return fmt.Errorf("bayeux: ext %q: %w", name, err)
	}
	if *e == nil {
		*e = make(Ext)
	}
	(*e)[name] = b
	return nil
}

var errNotJSON = errors.New("not valid JSON")

// encode is what every `any` that becomes JSON text goes through.
func encode(v any) (json.RawMessage, error) {
	switch v := v.(type) {
	case json.RawMessage:
		return rawText(v)
	case []byte:
		return rawText(v)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func rawText(b []byte) (json.RawMessage, error) {
	if b == nil {
		return json.RawMessage("null"), nil
	}
	if !json.Valid(b) {
		return nil, fmt.Errorf("%w: %s", errNotJSON, printable(string(b[:min(64, len(b))]), 32))
	}
	return bytes.Clone(b), nil
}
