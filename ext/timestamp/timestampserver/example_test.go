package timestampserver_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/timestamp"
	"github.com/gocometd/cometd/ext/timestamp/timestampserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

func Example() {
	srv, _ := server.New(server.WithExtension(timestampserver.New()))
	defer srv.Close()
	look := client.Extension{Channels: []string{bayeux.MetaHandshake}, Incoming: func(_ context.Context, m *bayeux.Message) error {
		at, err := time.Parse(timestamp.Layout, m.Timestamp)
		fmt.Println(time.Since(at) < time.Hour, err)
		return nil
	}}
	c, _ := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(look))
	defer c.Close()

	c.Wait(context.Background())
	// Output: true <nil>
}
