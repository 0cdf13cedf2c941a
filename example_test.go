package cometd_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
)

// Both ends in one program: a server in a router, and a client that subscribes
// and publishes.
func Example() {
	srv, err := cometd.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	mux := http.NewServeMux()
	srv.Mount(mux, "/cometd")
	web := httptest.NewServer(mux) // http.ListenAndServe in a real program
	defer web.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := cometd.Dial(ctx, web.URL+"/cometd") // WebSocket, else long-polling
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	sub, err := c.Subscribe(ctx, "/chat/*")
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Publish(ctx, "/chat/room", "hello"); err != nil {
		log.Fatal(err)
	}
	for m := range sub.Messages(ctx) {
		fmt.Printf("%s %s\n", m.Channel, m.Data)
		break
	}
	// Output: /chat/room "hello"
}

// A server's own client is a session like any other: policies judge it, and
// events tell of it.
func ExampleLocal() {
	srv, err := cometd.NewServer(server.WithPolicy(server.Policy{
		Publish: func(_ context.Context, s *server.Session, p *server.Publication) error {
			if p.Channel() == "/audit" && s.Transport() != bayeux.InProcess {
				return server.Deny("not_from_outside")
			}
			return nil
		},
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := cometd.Local(srv)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	sub, err := c.Subscribe(ctx, "/audit")
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Publish(ctx, "/audit", "started"); err != nil {
		log.Fatal(err)
	}
	for m := range sub.Messages(ctx) {
		fmt.Printf("%s %s over %s\n", m.Channel, m.Data, c.Stats().Transport)
		break
	}
	// Output: /audit "started" over in-process
}

// A remote call: the server answers one client, with types on both ends.
func Example_call() {
	srv, err := cometd.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	type pair struct{ A, B int }
	srv.HandleService("/service/add", server.Typed(func(ctx context.Context, s *server.Session, p pair) (int, error) {
		if p.B < 0 {
			return 0, bayeux.Errorf(400, "b_negative")
		}
		return p.A + p.B, nil
	}))

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := cometd.Local(srv) // in the same process; over the network it is Dial
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(client.Call[int](ctx, c, "/service/add", pair{1, 2}))
	fmt.Println(client.Call[int](ctx, c, "/service/add", pair{1, -2}))
	// Output:
	// 3 <nil>
	// 0 bayeux: /service/add: 400 b_negative
}

// The transport is chosen at construction; here long-polling alone.
func ExampleNew_longPolling() {
	srv, err := cometd.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	web := httptest.NewServer(srv)
	defer web.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := cometd.New(web.URL, client.WithTransports(longpoll.NewDialer()))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Stats().Transport, c.State())
	// Output: long-polling connected
}
