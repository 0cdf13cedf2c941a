// Package binary carries bytes in messages, encoded as Z85 text: it is CometD's
// binary extension (docs/protocol.md §16), the client's half. The server's is
// package binaryserver.
//
//	c, err := cometd.Dial(ctx, url, client.WithExtension(binary.Client()))
//	err = binary.Publish(ctx, c, "/files", binary.Data{Bytes: chunk})
//	…
//	for m := range sub.Messages(ctx) {
//		data, err := binary.Decode(m)
//
// Four bytes become five characters. A server passes such messages on as they
// are, without the extension; it needs it only to send some of its own.
package binary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

// Data is one binary message, perhaps a part of something longer.
type Data struct {
	Bytes []byte
	Last  bool            // nothing more of it follows
	Meta  json.RawMessage // a JSON object of the application's; nil: none
}

// Name is that of the ext field that marks a binary message.
const Name = "binary"

// MarshalJSON writes the data field of a message, docs/protocol.md §16.
func (d Data) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, EncodedLen(len(d.Bytes))+len(d.Meta)+40)
	out = append(out, `{"data":"`...)
	out = AppendEncode(out, d.Bytes)
	out = append(out, `","last":`...)
	if d.Last {
		out = append(out, "true"...)
	} else {
		out = append(out, "false"...)
	}
	if d.Meta != nil {
		out = append(out, `,"meta":`...)
		out = append(out, d.Meta...)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Data) UnmarshalJSON(b []byte) error {
	var wire struct {
		Data *json.RawMessage `json:"data"`
		Last bool             `json:"last"`
		Meta json.RawMessage  `json:"meta"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return fmt.Errorf("binary: %w", err)
	}
	if wire.Data == nil {
		return errNoBytes
	}
	text, err := plain(*wire.Data)
	if err != nil {
		return err
	}
	bytes, err := AppendDecode(nil, text)
	if err != nil {
		return err
	}
	*d = Data{Bytes: bytes, Last: wire.Last, Meta: wire.Meta}
	return nil
}

var errNoBytes = errors.New(`binary: data has no field "data" with text`)

// plain is a JSON string without its quotes. Z85 has no escapes, but a peer may
// write some all the same.
func plain(s json.RawMessage) ([]byte, error) {
	if len(s) < 2 || s[0] != '"' {
		return nil, errNoBytes
	}
	inner := s[1 : len(s)-1]
	for _, c := range inner {
		if c == '\\' {
			var text string
			err := json.Unmarshal(s, &text)
			return []byte(text), err
		}
	}
	return inner, nil
}

// Decode reads the binary data of a message that was received. It fails for a
// message that is not binary.
func Decode(m *bayeux.Message) (Data, error) {
	var d Data
	if m.Data == nil {
		return d, bayeux.ErrNoData
	}
	err := d.UnmarshalJSON(m.Data)
	return d, err
}

type key struct{}

// Mark makes a context whose messages are marked as binary by the extension of
// this package or of binaryserver. [Publish] does it by itself.
func Mark(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// Marked reports whether ctx comes from [Mark].
func Marked(ctx context.Context) bool { return ctx != nil && ctx.Value(key{}) != nil }

// Publish is c.Publish of binary data, marked as such. c needs the extension.
func Publish(ctx context.Context, c *client.Client, ch string, d Data) error {
	return c.Publish(Mark(ctx), ch, d)
}

// Client makes the extension for any number of clients: it marks what [Publish]
// sends, and takes the mark off what arrives.
func Client() client.Extension {
	return client.Extension{
		Name:     "binary",
		Channels: []string{"/**"},
		Outgoing: func(ctx context.Context, m *bayeux.Message) error {
			if Marked(ctx) {
				return m.Ext.Set(Name, struct{}{})
			}
			return nil
		},
		Incoming: func(_ context.Context, m *bayeux.Message) error {
			if delete(m.Ext, Name); len(m.Ext) == 0 {
				m.Ext = nil
			}
			return nil
		},
	}
}
