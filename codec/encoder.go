package codec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gocometd/cometd/bayeux"
)

// Every field is written with a comma in front, and closeObject turns the
// first one into the opening brace: so no field has to know whether it is the
// first.

// closeObject ends the object whose fields begin at start.
func closeObject(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, "{}"...)
	}
	dst[start] = '{'
	return append(dst, '}')
}

// appendFields writes all fields of m. It is flat because a reply is encoded
// for every publish: see BenchmarkEncode in package bench.
func appendFields(dst []byte, m *bayeux.Message) (_ []byte, err error) {
	dst = appendText(dst, `,"channel":"`, m.Channel)
	dst = appendText(dst, `,"id":"`, m.ID)
	dst = appendText(dst, `,"clientId":"`, m.ClientID)
	if len(m.Data) > 0 {
		if dst, err = appendChecked(dst, `,"data":`, m.Data); err != nil {
			return nil, err
		}
	}
	switch m.Outcome {
	case bayeux.Succeeded:
		dst = append(dst, `,"successful":true`...)
	case bayeux.Failed:
		dst = append(dst, `,"successful":false`...)
	}
	dst = appendText(dst, `,"error":"`, m.Error)
	if s := &m.Subscription; len(s.Channels) > 0 || s.List || s.Invalid != nil { // IsZero copies it
		if dst, err = appendSubscription(dst, m.Subscription); err != nil {
			return nil, err
		}
	}
	if m.Advice != nil {
		dst = appendAdvice(dst, m.Advice)
	}
	if m.Ext != nil {
		if dst, err = appendExt(dst, m.Ext); err != nil {
			return nil, err
		}
	}
	dst = appendText(dst, `,"version":"`, m.Version)
	dst = appendText(dst, `,"minimumVersion":"`, m.MinimumVersion)
	if len(m.SupportedConnectionTypes) > 0 {
		dst = appendList(dst, `,"supportedConnectionTypes":`, m.SupportedConnectionTypes)
	}
	dst = appendText(dst, `,"connectionType":"`, m.ConnectionType)
	dst = appendText(dst, `,"timestamp":"`, m.Timestamp)
	if len(m.Extra) > 0 {
		return appendExtra(dst, m.Extra)
	}
	return dst, nil
}

// appendText writes s, unless it is empty, behind a key that ends with the quote before s.
func appendText(dst []byte, key, s string) []byte {
	if s == "" {
		return dst
	}
	return appendQuoted(append(dst, key...), s)
}

// appendChecked writes JSON text of unknown origin.
func appendChecked(dst []byte, key string, b []byte) ([]byte, error) {
	if err := check(b); err != nil {
		return nil, fmt.Errorf("%s: %w", key[1:len(key)-1], err)
	}
	return append(append(dst, key...), b...), nil
}

func appendList(dst []byte, key string, list []string) []byte {
	dst = append(dst, key...)
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}

func appendSubscription(dst []byte, s bayeux.Subscription) ([]byte, error) {
	const key = `,"subscription":`
	switch {
	case s.Invalid != nil:
		return appendChecked(dst, key, s.Invalid)
	case len(s.Channels) == 1 && !s.List:
		return appendString(append(dst, key...), s.Channels[0]), nil
	}
	return appendList(dst, key, s.Channels), nil
}

func appendAdvice(dst []byte, a *bayeux.Advice) []byte {
	dst = append(dst, `,"advice":`...)
	start := len(dst)
	dst = appendText(dst, `,"reconnect":"`, string(a.Reconnect))
	dst = appendSpan(dst, `,"interval":`, a.Interval)
	dst = appendSpan(dst, `,"timeout":`, a.Timeout)
	dst = appendSpan(dst, `,"maxInterval":`, a.MaxInterval)
	if a.MultipleClients {
		dst = append(dst, `,"multiple-clients":true`...)
	}
	if len(a.Hosts) > 0 {
		dst = appendList(dst, `,"hosts":`, a.Hosts)
	}
	return closeObject(dst, start)
}

func appendSpan(dst []byte, key string, s bayeux.Span) []byte {
	if s.IsZero() {
		return dst
	}
	return strconv.AppendInt(append(dst, key...), int64(s.Or(0)/time.Millisecond), 10)
}

func appendExt(dst []byte, ext bayeux.Ext) ([]byte, error) {
	dst = append(dst, `,"ext":`...)
	start := len(dst)
	dst, err := appendMembers(dst, ext)
	if err != nil {
		return nil, fmt.Errorf("ext: %w", err)
	}
	return closeObject(dst, start), nil
}

func appendExtra(dst []byte, extra map[string]json.RawMessage) ([]byte, error) {
	for name := range extra {
		if bayeux.IsField(name) {
			return nil, fmt.Errorf("extra field %q is one of the message itself", name)
		}
	}
	return appendMembers(dst, extra)
}

// appendMembers writes the members of a map, sorted by name.
func appendMembers(dst []byte, m map[string]json.RawMessage) ([]byte, error) {
	var few [8]string // on the stack
	names := few[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := check(m[name]); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		dst = appendString(append(dst, ','), name)
		dst = append(append(dst, ':'), m[name]...)
	}
	return dst, nil
}
