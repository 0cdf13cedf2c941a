package ack_test

import (
	"context"
	"fmt"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

func Example() {
	srv, _ := server.New(server.WithExtension(ackserver.New()))
	defer srv.Close()
	c, _ := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(ack.Client()))
	defer c.Close()

	ctx := context.Background()
	sub, _ := c.Subscribe(ctx, "/news")
	srv.Publish(ctx, "/news", "it will not be lost")
	for m := range sub.Messages(ctx) {
		fmt.Println(string(m.Data))
		break
	}
	// Output: "it will not be lost"
}

func ExampleReceiver() {
	var r ack.Receiver
	r.Begin(ack.Answer{Enabled: true, Numbers: true})
	r.Mark(1)
	fmt.Println(r.Event(0), r.Event(0), "then the connection breaks, acknowledged:", r.Connect())
	r.Mark(2) // the server has not heard of the second
	fmt.Println(r.Event(0), r.Event(0))
	// Output:
	// true true then the connection breaks, acknowledged: 2
	// false true
}
