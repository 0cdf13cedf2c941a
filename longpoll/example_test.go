package longpoll_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
)

// Both ends, without a session between them: one request, one answer.
func Example() {
	a := longpoll.NewAcceptor()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Serve(w, r, &transport.Accept{Limit: 1000}, func(c transport.Conn) {
			request, _ := c.Receive()
			text, _ := io.ReadAll(request)
			fmt.Printf("%s asks %s\n", r.URL.Path, text)
			c.Send(&transport.Payload{Messages: [][]byte{[]byte(`{"channel":"/meta/connect","successful":true}`)}})
		})
	}))
	defer s.Close()

	u, _ := url.Parse(s.URL + "/cometd")
	c, _ := longpoll.NewDialer().Dial(context.Background(), &transport.Target{URL: u, HTTP: s.Client()})
	defer c.Close(transport.Normal)
	c.Send(&transport.Payload{Kind: transport.Connect, Messages: [][]byte{[]byte(`{"channel":"/meta/connect"}`)}})
	answer, _ := c.Receive()
	text, _ := io.ReadAll(answer)
	fmt.Printf("and hears %s\n", text)
	// Output:
	// /cometd/connect asks [{"channel":"/meta/connect"}]
	// and hears [{"channel":"/meta/connect","successful":true}]
}

// A server that spreads its endpoints over paths.
func ExampleWithPaths() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Path)
		io.WriteString(w, "[]")
	}))
	defer s.Close()
	u, _ := url.Parse(s.URL + "/notifications/")
	d := longpoll.NewDialer(longpoll.WithPaths(longpoll.Paths{Handshake: "hand/", Connect: "/node/1/", Publish: "/node/1/connect"}))
	for _, k := range []transport.Kind{transport.Handshake, transport.Subscribe, transport.Connect, transport.Other} {
		c, _ := d.Dial(context.Background(), &transport.Target{URL: u, HTTP: s.Client()})
		c.Send(&transport.Payload{Kind: k})
		c.Receive()
		c.Close(transport.Normal)
	}
	// Output:
	// /notifications/hand/handshake
	// /notifications/
	// /node/1/connect
	// /node/1/connect
}
