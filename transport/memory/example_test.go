package memory_test

import (
	"context"
	"fmt"
	"io"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A server that answers every payload with itself, and a client for it.
func ExampleNewDialer() {
	d := memory.NewDialer(func(c transport.Conn) {
		for {
			r, err := c.Receive()
			if err != nil {
				return
			}
			text, _ := io.ReadAll(r)
			c.Send(&transport.Payload{Messages: [][]byte{text}})
		}
	})
	c, _ := d.Dial(context.Background(), &transport.Target{})
	defer c.Close(transport.Normal)
	c.Send(&transport.Payload{Messages: [][]byte{[]byte(`"hello"`)}})
	r, _ := c.Receive()
	text, _ := io.ReadAll(r)
	fmt.Println(string(text))
	// Output: [["hello"]]
}
