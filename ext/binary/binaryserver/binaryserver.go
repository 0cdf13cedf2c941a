// Package binaryserver is the server's half of the binary extension
// (docs/protocol.md §16). A server needs it to send binary messages of its own;
// those of clients pass through it as they are, and binary.Decode reads them in
// listeners and services.
//
//	srv, err := cometd.NewServer(server.WithExtension(binaryserver.New("/files/**")))
//	err = binaryserver.Publish(ctx, srv, "/files/a", binary.Data{Bytes: chunk})
package binaryserver

import (
	"context"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/binary"
	"github.com/gocometd/cometd/server"
)

// New makes the extension for the channels that match the patterns; other
// channels pay nothing for it.
func New(patterns ...string) server.Extension {
	return server.Extension{
		Name:     "binary",
		Channels: append([]string{}, patterns...),
		Outgoing: func(ctx context.Context, _ *server.Session, m *bayeux.Message) error {
			if binary.Marked(ctx) && m.Outcome == bayeux.NoOutcome {
				return m.Ext.Set(binary.Name, struct{}{})
			}
			return nil
		},
	}
}

// Publish is srv.Publish of binary data, marked as such if srv has the
// extension for ch.
func Publish(ctx context.Context, srv *server.Server, ch string, d binary.Data) error {
	return srv.Publish(binary.Mark(ctx), ch, d)
}
