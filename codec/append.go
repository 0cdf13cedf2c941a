package codec

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/gocometd/cometd/bayeux"
)

// AppendBatch appends the array of ms to dst, by the rules of
// [AppendMessage]; no messages make an empty array.
func AppendBatch(dst []byte, ms ...*bayeux.Message) ([]byte, error) {
	out := append(dst, '[')
	for i, m := range ms {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = AppendMessage(out, m); err != nil {
			return dst, err
		}
	}
	return append(out, ']'), nil
}

// AppendMessage appends one message object to dst. Fields stand in a fixed
// order; those of Ext and Extra are sorted. It fails, and returns dst as it
// was, if Data, Ext or Extra hold anything but valid JSON, or if Extra names a
// field that Message has of its own: one bad message must not spoil a payload
// that others share.
func AppendMessage(dst []byte, m *bayeux.Message) ([]byte, error) {
	out, err := appendFields(dst, m)
	if err != nil {
		return dst, fmt.Errorf("codec: message on %.64q: %w", m.Channel, err)
	}
	return closeObject(out, len(dst)), nil
}

const dataKey = `,"data":`

// EventPrefix returns the part of an event on ch that stands before its data,
// for a channel to keep and give to [AppendPrefixed].
func EventPrefix(ch string) []byte {
	return slices.Clip(append(appendChannel(nil, ch), dataKey...))
}

// AppendPrefixed appends the event of a prefix from [EventPrefix] and data:
// two copies. The zero Raw gives an event without a data field.
func AppendPrefixed(dst, prefix []byte, data Raw) []byte {
	if data.b == nil {
		prefix = bytes.TrimSuffix(prefix, []byte(dataKey))
	}
	dst = append(dst, prefix...)
	dst = append(dst, data.b...)
	return append(dst, '}')
}

// AppendEvent appends the event of data on ch, as a subscriber gets it: it has
// no clientId and no id (docs/protocol.md §3.4). The zero Raw gives an event
// without a data field.
func AppendEvent(dst []byte, ch string, data Raw) []byte {
	dst = appendChannel(dst, ch)
	if data.b != nil {
		dst = append(dst, dataKey...)
		dst = append(dst, data.b...)
	}
	return append(dst, '}')
}

// AppendAck appends the reply that accepts a publish. A nil id is left out, as
// is an empty one. Channel and id are as a View has them.
func AppendAck(dst, ch, id []byte) []byte {
	dst = slices.Grow(dst, len(ch)+len(id)+len(`{"channel":"","id":"","successful":true}`))
	dst = appendChannel(dst, textOf(ch))
	if len(id) > 0 {
		dst = append(dst, `,"id":`...)
		dst = appendString(dst, textOf(id))
	}
	return append(dst, `,"successful":true}`...)
}

func appendChannel(dst []byte, ch string) []byte {
	dst = append(dst, `{"channel":`...)
	return appendString(dst, ch)
}
