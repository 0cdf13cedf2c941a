package timestampserver_test

import (
	"fmt"

	"github.com/gocometd/cometd/ext/timestamp/timestampserver"
	"github.com/gocometd/cometd/server"
)

func Example() {
	srv, err := server.New(server.WithExtension(timestampserver.New()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	fmt.Println("ready")
	// Output: ready
}
