package bayeux

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Message is one Bayeux message, request, reply or event, in its owner's
// memory. The zero value of a field means that the wire has no such field,
// also for the strings, where an empty one and a missing one are the same.
// docs/protocol.md §1 says who sends which field.
//
// A received Message is shared by everybody in the process who gets it, so
// only extensions, which run before, change it; others Clone it first.
type Message struct {
	Channel  string
	ID       string // a number on the wire is kept as its digits
	ClientID string

	// Data is JSON text. nil means no data field; null, 0, "" and false are
	// values like any other.
	Data json.RawMessage

	Outcome      Outcome // the successful field
	Error        string  // as on the wire, "402::session_unknown"; see Err
	Subscription Subscription
	Advice       *Advice // nil: no advice, which means that the last one holds
	Ext          Ext

	Version                  string
	MinimumVersion           string
	SupportedConnectionTypes []string
	ConnectionType           string
	Timestamp                string // never parsed: every implementation has its own format

	// Extra holds the fields that the protocol does not know, as JSON text.
	Extra map[string]json.RawMessage
}

// An Outcome is the successful field of a reply.
type Outcome int8

const (
	NoOutcome Outcome = iota // no such field: a request or an event
	Succeeded                // "successful":true
	Failed                   // "successful":false
)

// String returns "none", "succeeded" or "failed".
func (o Outcome) String() string {
	switch o {
	case NoOutcome:
		return "none"
	case Succeeded:
		return "succeeded"
	case Failed:
		return "failed"
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}

// Decode stores the message's data in v as encoding/json does. It returns
// [ErrNoData] if the message has no data field; null is data.
func (m *Message) Decode(v any) error {
	if len(m.Data) == 0 {
		return ErrNoData
	}
	if err := json.Unmarshal(m.Data, v); err != nil {
		return fmt.Errorf("bayeux: data on %s: %w", printable(m.Channel, 64), err)
	}
	return nil
}

// SetData encodes v into the message's data. A json.RawMessage or []byte is
// taken as JSON text, copied, and refused if it is not valid; nil is null; all
// else goes through encoding/json. On error the data is as before.
func (m *Message) SetData(v any) error {
	b, err := encode(v)
	if err != nil {
		return fmt.Errorf("bayeux: data for %s: %w", printable(m.Channel, 64), err)
	}
	m.Data = b
	return nil
}

// Err returns nil unless the message is a failed reply. Then it is an
// [*Error] with the reply's channel, advice, ext and, for a failed remote
// call, data.
func (m *Message) Err() error {
	if m.Outcome != Failed {
		return nil
	}
	e := ParseError(m.Channel, m.Error)
	e.Advice, e.Ext, e.Data = m.Advice, m.Ext, m.Data
	return e
}

// IsReply reports whether a received message answers a request; otherwise it
// is an event. It never looks at the id alone, because some servers deliver
// events with their publisher's id (docs/protocol.md §1). The result of a
// remote call, which has both data and an outcome, is an event by this rule:
// whoever made the call knows it by its id.
func (m *Message) IsReply() bool {
	if Channel(m.Channel).Kind() == Meta {
		return m.Channel != MetaDisconnect || m.ID != "" // without an id the server ends the session
	}
	return m.Outcome != NoOutcome && m.Data == nil
}

// Clone returns a deep copy: nothing that is changed in it shows in m.
func (m *Message) Clone() *Message {
	c := *m
	c.Data = bytes.Clone(m.Data)
	c.Subscription.Channels = slices.Clone(m.Subscription.Channels)
	c.Subscription.Invalid = bytes.Clone(m.Subscription.Invalid)
	c.Advice = m.Advice.Clone()
	c.Ext = Ext(cloneRaw(m.Ext))
	c.SupportedConnectionTypes = slices.Clone(m.SupportedConnectionTypes)
	c.Extra = cloneRaw(m.Extra)
	return &c
}

func cloneRaw(m map[string]json.RawMessage) map[string]json.RawMessage {
	c := maps.Clone(m)
	for k, v := range c {
		c[k] = bytes.Clone(v)
	}
	return c
}

// String describes the message for a log, on one line: whatever the peer sent
// is shortened and control characters are escaped. The clientId, which is a
// secret, and ext, which may hold one, are left out.
func (m *Message) String() string {
	var b strings.Builder
	b.WriteString(printable(m.Channel, 64))
	field := func(name, value string) {
		if value != "" {
			b.WriteString(" " + name + "=" + printable(value, 48))
		}
	}
	field("id", m.ID)
	field("subscription", strings.Join(m.Subscription.Channels[:min(4, len(m.Subscription.Channels))], ","))
	if m.Outcome != NoOutcome {
		b.WriteString(" " + m.Outcome.String())
	}
	field("error", m.Error)
	if m.Advice != nil {
		field("reconnect", string(m.Advice.Reconnect))
	}
	if m.Data != nil {
		fmt.Fprintf(&b, " data=%s (%d bytes)", printable(string(m.Data[:min(64, len(m.Data))]), 32), len(m.Data))
	}
	return b.String()
}

// LogValue is String, so that a log never holds a whole message.
func (m *Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

// printable shortens s to about limit bytes and quotes it if a log line could
// misread it.
func printable(s string, limit int) string {
	short := s
	if len(s) > limit {
		short = s[:limit] + "…"
	}
	for _, c := range []byte(s[:min(limit, len(s))]) {
		if c <= ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return strconv.QuoteToASCII(short)
		}
	}
	return short
}

// A Subscription is the subscription field of a subscribe or unsubscribe and
// of its reply, which must echo the shape that the client sent. The zero value
// means that there is no such field.
type Subscription struct {
	Channels []string
	List     bool // an array on the wire, even with one channel or none

	// Invalid is what the peer sent if it was neither a string nor an array of
	// strings; Channels is empty then. A server refuses it, and echoes it.
	Invalid json.RawMessage
}

// IsZero reports whether there is no subscription field.
func (s Subscription) IsZero() bool { return len(s.Channels) == 0 && !s.List && s.Invalid == nil }
