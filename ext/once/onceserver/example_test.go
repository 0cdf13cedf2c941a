package onceserver_test

import (
	"context"
	"fmt"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/once"
	"github.com/gocometd/cometd/ext/once/onceserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

// The same publish comes twice, as it does after a break: it is taken once, and
// answered alike.
func Example() {
	srv, _ := server.New(server.WithExtension(onceserver.New()))
	defer srv.Close()
	srv.Handle("/service/orders", func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		fmt.Println("taken:", string(m.Data))
		return nil
	})
	again := client.Extension{Requests: []string{"/service/orders"}, Outgoing: func(_ context.Context, m *bayeux.Message) error {
		return m.Ext.Set(once.Name, once.Key{Client: "9f2c", ID: "1"})
	}}
	c, _ := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(again))
	defer c.Close()

	for range 2 {
		fmt.Println("accepted:", c.Publish(context.Background(), "/service/orders", "tea") == nil)
	}
	// Output:
	// taken: "tea"
	// accepted: true
	// accepted: true
}
