// Package timestampserver is the server's half of the timestamp extension
// (docs/protocol.md §16): replies carry the time at which they were made. See
// package timestamp for what it is good for.
//
// Events carry none, so that their bytes stay the same for all subscribers and
// whatever a publisher sent reaches nobody.
package timestampserver

import (
	"context"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/timestamp"
	"github.com/gocometd/cometd/server"
)

// New makes the extension for any number of servers.
func New() server.Extension {
	return server.Extension{
		Name: "timestamp",
		Outgoing: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			m.Timestamp = timestamp.Now()
			return nil
		},
	}
}
