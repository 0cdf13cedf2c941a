//go:build !js

package wsclient_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

// A Dialer is for client.WithTransports; what it makes can be used by itself.
func ExampleNewDialer() {
	echo := func(c transport.Conn) {
		r, err := c.Receive()
		if err != nil {
			return
		}
		data, _ := io.ReadAll(r)
		c.Send(&transport.Payload{Messages: [][]byte{data}})
	}
	a := wsserver.NewAcceptor()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Serve(w, r, &transport.Accept{}, echo)
	}))
	defer s.Close()

	u, err := url.Parse(s.URL)
	if err != nil {
		log.Fatal(err)
	}
	c, err := wsclient.NewDialer().Dial(context.Background(), &transport.Target{URL: u})
	if err != nil {
		log.Fatal(err) // errors.Is(err, transport.ErrUnsupported): use another transport
	}
	defer c.Close(transport.Normal)
	c.Send(&transport.Payload{Messages: [][]byte{[]byte(`{"a":1}`), []byte(`{"b":2}`)}})
	r, err := c.Receive()
	if err != nil {
		log.Fatal(err)
	}
	data, _ := io.ReadAll(r)
	fmt.Println(string(data))
	// Output: [[{"a":1},{"b":2}]]
}
