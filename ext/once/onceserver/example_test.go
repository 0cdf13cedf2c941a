package onceserver_test

import (
	"fmt"

	"github.com/gocometd/cometd/ext/once/onceserver"
	"github.com/gocometd/cometd/server"
)

func Example() {
	srv, err := server.New(server.WithExtension(onceserver.New()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	fmt.Println("ready")
	// Output: ready
}
