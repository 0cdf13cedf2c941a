package bayeux

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// MarshalJSON writes one message object. Fields stand in a fixed order, Extra
// last and sorted. It fails if Data, Ext or Extra hold text that is not JSON,
// or if Extra names one of the protocol's own fields.
//
// It serves tests and tools; the wire is written by package codec.
func (m *Message) MarshalJSON() ([]byte, error) {
	var successful *bool
	if m.Outcome != NoOutcome {
		ok := m.Outcome == Succeeded
		successful = &ok
	}
	b, err := json.Marshal(struct {
		Channel                  string          `json:"channel,omitempty"`
		ID                       string          `json:"id,omitempty"`
		ClientID                 string          `json:"clientId,omitempty"`
		Data                     json.RawMessage `json:"data,omitempty"`
		Successful               *bool           `json:"successful,omitempty"`
		Error                    string          `json:"error,omitempty"`
		Subscription             Subscription    `json:"subscription,omitzero"`
		Advice                   *Advice         `json:"advice,omitempty"`
		Ext                      Ext             `json:"ext,omitzero"`
		Version                  string          `json:"version,omitempty"`
		MinimumVersion           string          `json:"minimumVersion,omitempty"`
		SupportedConnectionTypes []string        `json:"supportedConnectionTypes,omitempty"`
		ConnectionType           string          `json:"connectionType,omitempty"`
		Timestamp                string          `json:"timestamp,omitempty"`
	}{m.Channel, m.ID, m.ClientID, m.Data, successful, m.Error, m.Subscription, m.Advice, m.Ext,
		m.Version, m.MinimumVersion, m.SupportedConnectionTypes, m.ConnectionType, m.Timestamp})
	if err != nil || len(m.Extra) == 0 {
		return b, err
	}
	return m.appendExtra(b)
}

// appendExtra puts the unknown fields before the closing brace of b.
func (m *Message) appendExtra(b []byte) ([]byte, error) {
	b = b[:len(b)-1]
	for _, name := range slices.Sorted(maps.Keys(m.Extra)) {
		if IsField(name) {
			return nil, fmt.Errorf("bayeux: Extra holds %q, which is a field of Message", name)
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		if !json.Valid(m.Extra[name]) {
			return nil, fmt.Errorf("bayeux: extra field %q: %w", name, errNotJSON)
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, key...), ':'), m.Extra[name]...)
	}
	return append(b, '}'), nil
}

// IsField reports whether name is a field of the protocol that Message has
// of its own, so that it never stands in Extra. Names are case-sensitive.
func IsField(name string) bool {
	switch name {
	case "channel", "id", "clientId", "data", "successful", "error", "subscription", "advice", "ext",
		"version", "minimumVersion", "supportedConnectionTypes", "connectionType", "timestamp":
		return true
	}
	return false
}

// UnmarshalJSON reads one message object. Unknown fields go to Extra, a
// numeric id is kept as its digits, null means no field except for data, and
// of two fields with one name the last counts. A channel, id, clientId or
// advice of the wrong type counts as absent, because the protocol has its own
// answers to that; on another value of the wrong type it fails, naming the
// field.
//
// It serves tests and tools; what a peer sent is read by package codec, which
// is stricter.
func (m *Message) UnmarshalJSON(b []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return fmt.Errorf("bayeux: message: %w", err)
	}
	var r Message
	for name, value := range fields {
		if err := r.setField(name, value); err != nil {
			return fmt.Errorf("bayeux: field %q: %w", name, err)
		}
	}
	*m = r
	return nil
}

func (m *Message) setField(name string, value json.RawMessage) error {
	if string(value) == "null" && name != "data" && IsField(name) {
		return nil
	}
	switch name {
	case "channel":
		optional(value, &m.Channel)
	case "id":
		m.setID(value)
	case "clientId":
		optional(value, &m.ClientID)
	case "data":
		m.Data = value
	case "successful":
		return m.setOutcome(value)
	case "error":
		return json.Unmarshal(value, &m.Error)
	case "subscription":
		return json.Unmarshal(value, &m.Subscription)
	case "advice":
		optional(value, &m.Advice)
	case "ext":
		return json.Unmarshal(value, &m.Ext)
	case "version":
		return json.Unmarshal(value, &m.Version)
	case "minimumVersion":
		return json.Unmarshal(value, &m.MinimumVersion)
	case "supportedConnectionTypes":
		return json.Unmarshal(value, &m.SupportedConnectionTypes)
	case "connectionType":
		return json.Unmarshal(value, &m.ConnectionType)
	case "timestamp":
		return json.Unmarshal(value, &m.Timestamp)
	default:
		if m.Extra == nil {
			m.Extra = make(map[string]json.RawMessage)
		}
		m.Extra[name] = value
	}
	return nil
}

func (m *Message) setID(value json.RawMessage) {
	if c := value[0]; c == '-' || c >= '0' && c <= '9' {
		m.ID = string(value)
		return
	}
	optional(value, &m.ID)
}

func (m *Message) setOutcome(value json.RawMessage) error {
	var ok bool
	if err := json.Unmarshal(value, &ok); err != nil {
		return err
	}
	m.Outcome = Failed
	if ok {
		m.Outcome = Succeeded
	}
	return nil
}

// MarshalJSON writes a string, or an array if List is set or there is more
// than one channel; Invalid is written as it came.
func (s Subscription) MarshalJSON() ([]byte, error) {
	switch {
	case s.Invalid != nil:
		return s.Invalid, nil
	case len(s.Channels) == 1 && !s.List:
		return json.Marshal(s.Channels[0])
	case s.IsZero():
		return []byte("null"), nil
	case len(s.Channels) == 0:
		return []byte("[]"), nil
	}
	return json.Marshal(s.Channels)
}

// UnmarshalJSON reads a string or an array of strings; anything else is kept
// in Invalid.
func (s *Subscription) UnmarshalJSON(b []byte) error {
	*s = Subscription{}
	var list []*string
	switch b = bytes.TrimSpace(b); {
	case string(b) == "null":
		return nil
	case b[0] == '"':
		s.Channels = make([]string, 1)
		return json.Unmarshal(b, &s.Channels[0])
	case b[0] != '[' || json.Unmarshal(b, &list) != nil || slices.Contains(list, nil):
		s.Invalid = bytes.Clone(b)
		return nil
	}
	s.List = true
	for _, ch := range list {
		s.Channels = append(s.Channels, *ch)
	}
	return nil
}
