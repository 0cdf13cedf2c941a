package codec

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gocometd/cometd/bayeux"
)

// The oracle is the strict reader said once more, slowly, with encoding/json
// and bayeux.Message alone: what a payload must read as, or false. Limits are
// left out.
func oracle(payload []byte) ([]*bayeux.Message, bool) {
	if !json.Valid(payload) || !utf8.Valid(payload) {
		return nil, false
	}
	objects := []json.RawMessage{bytes.Trim(payload, " \t\r\n")}
	if objects[0][0] == '[' {
		objects = nil
		if json.Unmarshal(payload, &objects) != nil {
			return nil, false
		}
	}
	out := make([]*bayeux.Message, len(objects))
	for i, object := range objects {
		if object[0] != '{' || !strict(object) {
			return nil, false
		}
		out[i] = new(bayeux.Message)
		if json.Unmarshal(object, out[i]) != nil {
			return nil, false
		}
	}
	return out, true
}

// strict holds what bayeux.Message lets pass: known fields that stand twice,
// null among connection types, lone surrogates in names.
func strict(object []byte) bool {
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token()
	seen := make(map[string]bool)
	for d.More() {
		key, _ := d.Token()
		name := key.(string)
		var value json.RawMessage
		d.Decode(&value)
		if bayeux.IsField(name) && seen[name] {
			return false
		}
		seen[name] = true
		switch name {
		case "channel", "id", "clientId":
			if loneSurrogates(value) {
				return false
			}
		case "subscription":
			var list []json.RawMessage
			if json.Unmarshal(value, &list) != nil {
				list = []json.RawMessage{value}
			}
			for _, element := range list {
				if loneSurrogates(element) {
					return false
				}
			}
		case "supportedConnectionTypes":
			var list []*string
			if json.Unmarshal(value, &list) != nil {
				return false
			}
			var raws []json.RawMessage
			json.Unmarshal(value, &raws)
			for i, s := range list {
				if s == nil || loneSurrogates(raws[i]) {
					return false
				}
			}
		}
	}
	return true
}

// loneSurrogates reports whether a JSON value is a string with one.
func loneSurrogates(value []byte) bool {
	if value[0] != '"' {
		return false
	}
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' {
			continue
		}
		r, ok := escapedRune(value[i:])
		if !ok || !utf16.IsSurrogate(r) {
			i++ // also past an escaped backslash
			continue
		}
		low, _ := escapedRune(value[i+6:])
		if utf16.DecodeRune(r, low) == utf8.RuneError {
			return true
		}
		i += 11
	}
	return false
}

// escapedRune reads \uXXXX.
func escapedRune(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	r, err := strconv.ParseUint(string(b[2:6]), 16, 32)
	return rune(r), err == nil
}
