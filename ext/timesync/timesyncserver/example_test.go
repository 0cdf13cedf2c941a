package timesyncserver_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/timesync"
	"github.com/gocometd/cometd/ext/timesync/timesyncserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

// A client learns how far the server's clock is ahead of its own, here not at
// all.
func Example() {
	srv, _ := server.New(server.WithExtension(timesyncserver.New(0)))
	defer srv.Close()
	var clock timesync.Clock
	look := client.Extension{Channels: []string{bayeux.MetaHandshake}, Incoming: func(_ context.Context, m *bayeux.Message) error {
		var r timesync.Reply
		answered, err := m.Ext.Decode("timesync", &r)
		fmt.Println(answered, err)
		return nil
	}}
	c, _ := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(clock.Extension(), look))
	defer c.Close()

	c.Wait(context.Background())
	fmt.Println(clock.Offset().Abs() < time.Minute)
	// Output:
	// true <nil>
	// true
}
