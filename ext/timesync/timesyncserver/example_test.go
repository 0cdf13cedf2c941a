package timesyncserver_test

import (
	"fmt"

	"github.com/gocometd/cometd/ext/timesync/timesyncserver"
	"github.com/gocometd/cometd/server"
)

func Example() {
	srv, err := server.New(server.WithExtension(timesyncserver.New(0)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	fmt.Println("ready")
	// Output: ready
}
