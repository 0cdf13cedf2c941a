package binaryserver_test

import (
	"fmt"

	"github.com/gocometd/cometd/ext/binary/binaryserver"
	"github.com/gocometd/cometd/server"
)

func Example() {
	srv, err := server.New(server.WithExtension(binaryserver.New("/files/**")))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	fmt.Println("ready")
	// Output: ready
}
