// Package timestamp adds the time of sending to each message that a client
// sends: it is CometD's timestamp extension (docs/protocol.md §16). The
// server's half is package timestampserver.
//
//	c, err := cometd.Dial(ctx, url, client.WithExtension(timestamp.Client()))
//
// The field is for people and logs. Every implementation has a format of its
// own; this one writes ISO 8601, as the specification asks, in UTC with
// milliseconds. Never parse what another one wrote.
package timestamp

import (
	"context"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

// Layout is the format of the field, for time.Format.
const Layout = "2006-01-02T15:04:05.000Z"

// Now is the present time as the field has it.
func Now() string { return time.Now().UTC().Format(Layout) }

// Client makes the extension for any number of clients. It costs every publish
// an encoding of the whole message.
func Client() client.Extension {
	return client.Extension{
		Name: "timestamp",
		Outgoing: func(_ context.Context, m *bayeux.Message) error {
			m.Timestamp = Now()
			return nil
		},
	}
}
