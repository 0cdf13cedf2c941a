package bayeux

import (
	"fmt"
	"slices"
	"strings"
)

// NewHandshake makes a handshake that offers the given connection types, in
// order of preference; both version fields are filled in. It fails if there is
// no type or an empty one; duplicates are dropped. The id is left to the
// sender, as in all requests (docs/protocol.md §3.1).
func NewHandshake(types ...string) (*Message, error) {
	types = unique(types)
	if len(types) == 0 {
		return nil, fmt.Errorf("bayeux: handshake offers no connection type: %q", types)
	}
	for _, t := range types {
		if err := checkWord("connection type", t); err != nil {
			return nil, err
		}
	}
	return &Message{
		Channel:                  MetaHandshake,
		Version:                  Version,
		MinimumVersion:           Version,
		SupportedConnectionTypes: types,
	}, nil
}

// NewConnect makes a connect of the given connection type. The first one of a
// session, and the first after a failure, should carry the advice timeout 0,
// which is the caller's to add (docs/protocol.md §3.2).
func NewConnect(clientID, typ string) (*Message, error) {
	m, err := newRequest(MetaConnect, clientID)
	if err != nil {
		return nil, err
	}
	if err := checkWord("connection type", typ); err != nil {
		return nil, err
	}
	m.ConnectionType = typ
	return m, nil
}

// NewSubscribe makes a subscribe to one or more channels or patterns, checked
// by [ParseRemote]; duplicates are dropped. One channel is written as a
// string, more as an array. Meta channels are refused (docs/protocol.md §3.3).
func NewSubscribe(clientID string, channels ...string) (*Message, error) {
	return newSubscription(MetaSubscribe, clientID, channels)
}

// NewUnsubscribe makes an unsubscribe, by the rules of [NewSubscribe].
func NewUnsubscribe(clientID string, channels ...string) (*Message, error) {
	return newSubscription(MetaUnsubscribe, clientID, channels)
}

// NewDisconnect makes a disconnect (docs/protocol.md §3.5).
func NewDisconnect(clientID string) (*Message, error) {
	return newRequest(MetaDisconnect, clientID)
}

// NewPublish makes a message with data, encoded as by [Message.SetData], for
// a broadcast or service channel. A wildcard or meta channel is refused
// (docs/protocol.md §3.4).
func NewPublish(clientID, ch string, data any) (*Message, error) {
	c, err := ParseRemote(ch)
	if err != nil {
		return nil, err
	}
	if c.IsWild() {
		return nil, fmt.Errorf("bayeux: publish to a wildcard: %s", printable(ch, 64))
	}
	if c.Kind() == Meta {
		return nil, fmt.Errorf("bayeux: publish to a meta channel: %s", printable(ch, 64))
	}
	m, err := newRequest(string(c), clientID)
	if err != nil {
		return nil, err
	}
	if err := m.SetData(data); err != nil {
		return nil, err
	}
	return m, nil
}

func newRequest(ch, clientID string) (*Message, error) {
	if err := checkWord("clientId", clientID); err != nil {
		return nil, err
	}
	return &Message{Channel: ch, ClientID: clientID}, nil
}

func newSubscription(meta, clientID string, channels []string) (*Message, error) {
	m, err := newRequest(meta, clientID)
	if err != nil {
		return nil, err
	}
	checked := make([]string, len(channels))
	for i, ch := range channels {
		c, err := ParseRemote(ch)
		if err != nil {
			return nil, err
		}
		if c.Kind() == Meta {
			return nil, fmt.Errorf("bayeux: %s of a meta channel: %s", strings.TrimPrefix(meta, "/meta/"), printable(ch, 64))
		}
		checked[i] = string(c)
	}
	checked = unique(checked)
	if len(checked) == 0 {
		return nil, fmt.Errorf("bayeux: %s names no channel: %q", strings.TrimPrefix(meta, "/meta/"), channels)
	}
	m.Subscription = Subscription{Channels: checked, List: len(checked) > 1}
	return m, nil
}

// checkWord refuses what would be an empty or unreadable token on the wire.
func checkWord(what, s string) error {
	if s == "" {
		return fmt.Errorf("bayeux: %s is empty: %q", what, s)
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f {
			return fmt.Errorf("bayeux: %s has an illegal character: %s", what, printable(s, 64))
		}
	}
	return nil
}

// unique returns a copy without duplicates, in the order of first occurrence.
func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
