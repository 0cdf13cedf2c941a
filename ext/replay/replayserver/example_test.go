package replayserver_test

import (
	"context"
	"fmt"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

// A new subscriber gets the latest price at once, whatever it knows of replay.
func ExampleWithLast() {
	store := replayserver.NewMemory(replayserver.Rule{Pattern: "/price/*", Messages: 1})
	history, _ := replayserver.New(store, replayserver.WithLast("/price/*", 1))
	srv, _ := server.New(history)
	defer srv.Close()
	ctx := context.Background()
	for _, price := range []int{98, 99} {
		srv.Publish(ctx, "/price/ACME", map[string]int{"price": price})
	}

	c, _ := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)))
	defer c.Close()
	sub, _ := c.Subscribe(ctx, "/price/ACME")
	for m := range sub.Messages(ctx) {
		var p struct{ Price int }
		m.Decode(&p)
		fmt.Println(p.Price)
		break
	}
	// Output: 99
}
