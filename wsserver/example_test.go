//go:build !js

package wsserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

// An Acceptor is for server.WithTransports. Without a server it takes whatever
// upgrade it is given.
func ExampleNewAcceptor() {
	a := wsserver.NewAcceptor(
		wsserver.WithSubprotocols("bayeux"),
		wsserver.WithCompression(1024),
	)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.Match(r) {
			http.Error(w, "WebSocket only", http.StatusUpgradeRequired)
			return
		}
		a.Serve(w, r, &transport.Accept{Limit: 256 << 10}, func(c transport.Conn) {
			fmt.Println("hello", c.Peer().Addr)
		})
	}))
	defer s.Close()

	resp, err := s.Client().Get(s.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 426 Upgrade Required
}
