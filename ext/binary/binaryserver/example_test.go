package binaryserver_test

import (
	"context"
	"fmt"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/binary"
	"github.com/gocometd/cometd/ext/binary/binaryserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

func Example() {
	srv, _ := server.New(server.WithExtension(binaryserver.New("/files/**")))
	defer srv.Close()
	c, _ := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(binary.Client()))
	defer c.Close()

	ctx := context.Background()
	sub, _ := c.Subscribe(ctx, "/files/a")
	binaryserver.Publish(ctx, srv, "/files/a", binary.Data{Bytes: []byte{0x86, 0x4F, 0xD2, 0x6F}, Last: true})
	for m := range sub.Messages(ctx) {
		d, err := binary.Decode(m)
		fmt.Printf("%x %v %v\n", d.Bytes, d.Last, err)
		break
	}
	// Output: 864fd26f true <nil>
}
