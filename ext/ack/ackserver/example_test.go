package ackserver_test

import (
	"fmt"
	"time"

	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
)

func Example() {
	srv, err := server.New(server.WithExtension(ackserver.New(ackserver.WithGrace(time.Minute))))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	fmt.Println("ready")
	// Output: ready
}
