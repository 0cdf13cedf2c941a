package ackserver_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

// A client that offers to acknowledge is told that the server takes that.
func Example() {
	srv, _ := server.New(server.WithExtension(ackserver.New(ackserver.WithGrace(time.Minute))))
	defer srv.Close()
	look := client.Extension{Channels: []string{bayeux.MetaHandshake}, Incoming: func(_ context.Context, m *bayeux.Message) error {
		answer := ack.ParseAnswer(m.Ext)
		fmt.Println("acknowledged:", answer.Enabled, "in numbers:", answer.Numbers)
		return nil
	}}
	c, _ := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(ack.Client(), look))
	defer c.Close()

	c.Wait(context.Background())
	// Output: acknowledged: true in numbers: true
}
