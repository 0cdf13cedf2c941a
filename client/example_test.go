//go:build !js

package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/wsclient"
)

type Quote struct {
	Symbol string
	Price  float64
}

type Add struct{ A, B int }

// market is a server for the examples: a service that adds, and as the answer to
// a publish on /start three quotes.
func market() (url string, stop func()) {
	srv, err := cometd.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	srv.HandleService("/service/add", server.Typed(func(_ context.Context, _ *server.Session, a Add) (int, error) {
		if a.B < 0 {
			return 0, bayeux.Errorf(400, "b_negative")
		}
		return a.A + a.B, nil
	}))
	srv.Handle("/start", func(ctx context.Context, _ *server.Session, _ *bayeux.Message) error {
		for i := range 3 {
			srv.Publish(ctx, "/quotes/ACME", Quote{"ACME", float64(i + 1)})
		}
		return nil
	})
	hs := httptest.NewServer(srv)
	return hs.URL, func() {
		srv.Close()
		hs.Close()
	}
}

// dialMarket is cometd.Dial with the two transports it brings.
func dialMarket(ctx context.Context, url string) *client.Client {
	c, err := client.Dial(ctx, url, client.WithTransports(wsclient.NewDialer(), longpoll.NewDialer()))
	if err != nil {
		log.Fatal(err)
	}
	return c
}

func Example() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c, err := client.Dial(ctx, url, client.WithTransports(wsclient.NewDialer(), longpoll.NewDialer()))
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
		fmt.Println(m.Channel, string(m.Data))
		break
	}
	fmt.Println(c.State(), "over", c.Stats().Transport)
	// Output:
	// /chat/room "hello"
	// connected over websocket
}

func ExampleNew() {
	// New starts and fails for bad options only; the network may come later.
	c, err := client.New("http://127.0.0.1:1/cometd", client.WithTransports(longpoll.NewDialer()))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err = c.Wait(ctx) // says what failed, too
	fmt.Println(errors.Is(err, context.DeadlineExceeded))

	_, err = client.New("cometd", client.WithTransports(longpoll.NewDialer()))
	fmt.Println(err)
	// Output:
	// true
	// client: URL is neither http nor https: "cometd"
}

func ExampleValues() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := dialMarket(ctx, url)
	defer c.Close()

	sub, err := c.Subscribe(ctx, "/quotes/*")
	if err != nil {
		log.Fatal(err)
	}
	c.Publish(ctx, "/start", nil)
	for q, err := range client.Values[Quote](ctx, sub) { // the last pair says why it ended, if it failed
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(q.Symbol, q.Price)
		if q.Price == 3 {
			break
		}
	}
	// Output:
	// ACME 1
	// ACME 2
	// ACME 3
}

func ExampleClient_SubscribeFunc() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := dialMarket(ctx, url)
	defer c.Close()

	enough := errors.New("three are enough")
	sub, err := c.SubscribeFunc(ctx, "/quotes/*", client.Typed(func(ctx context.Context, q Quote) error {
		fmt.Println(q.Symbol, q.Price)
		if q.Price == 3 {
			return enough // an error ends the subscription and is its Err
		}
		return nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	c.Publish(ctx, "/start", nil)
	<-sub.Done()
	fmt.Println(sub.Err())
	// Output:
	// ACME 1
	// ACME 2
	// ACME 3
	// three are enough
}

func ExampleSubscription_Chan() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := dialMarket(ctx, url)
	defer c.Close()

	sub, err := c.Subscribe(ctx, "/quotes/*", client.WithQueue(100, client.DropOldest))
	if err != nil {
		log.Fatal(err)
	}
	c.Publish(ctx, "/start", nil)
	select {
	case m := <-sub.Chan(ctx):
		fmt.Println(string(m.Data))
	case <-ctx.Done():
		fmt.Println("nothing came")
	}
	// Output:
	// {"Symbol":"ACME","Price":1}
}

func ExampleSubscription_Batches() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := dialMarket(ctx, url)
	defer c.Close()

	sub, err := c.Subscribe(ctx, "/quotes/*")
	if err != nil {
		log.Fatal(err)
	}
	c.Publish(ctx, "/start", nil)
	n := 0
	for batch := range sub.Batches(ctx, 100) { // all that wait: good for a database
		if n += len(batch); n == 3 {
			break
		}
	}
	fmt.Println(n)
	// Output: 3
}

func ExampleCall() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := dialMarket(ctx, url)
	defer c.Close()

	sum, err := client.Call[int](ctx, c, "/service/add", Add{1, 2})
	fmt.Println(sum, err)
	_, err = client.Call[int](ctx, c, "/service/add", Add{1, -2})
	if e, ok := errors.AsType[*bayeux.Error](err); ok {
		fmt.Println(e.Code, e.Message)
	}
	// Output:
	// 3 <nil>
	// 400 b_negative
}

func ExampleClient_PublishFunc() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := dialMarket(ctx, url)
	defer c.Close()

	var wg sync.WaitGroup
	for i := range 3 {
		wg.Add(1)
		c.PublishFunc("/log", i, func(err error) { // in the order of the outcomes
			fmt.Println(i, err)
			wg.Done()
		})
	}
	wg.Wait()
	// Output:
	// 0 <nil>
	// 1 <nil>
	// 2 <nil>
}

func ExampleClient_Batch() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := dialMarket(ctx, url)
	defer c.Close()

	b := c.Batch()
	b.Publish("/log/a", 1)
	b.Publish("/log/b", 2)
	fmt.Println(b.Send(ctx))
	// Output: <nil>
}

// One stream of everything that a client hears; other loops may see the same.
func ExampleClient_Events() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := dialMarket(ctx, url)
	defer c.Close()

	events := c.Events(ctx)
	if _, err := c.Subscribe(ctx, "/quotes/*", client.WithQueue(1, client.KeepLatest)); err != nil {
		log.Fatal(err)
	}
	c.Publish(ctx, "/start", nil)
	go c.Drain(ctx)
	for e := range events {
		switch e := e.(type) {
		case client.Received:
			if e.Channel == "/quotes/ACME" {
				fmt.Println("message", string(e.Data))
			}
		case client.Failure:
			fmt.Println("failure", e.Err)
		case client.Change:
			fmt.Println("state", e.To)
		case client.Gap:
			fmt.Println("gap on", e.Channel)
		case client.EventsLost:
			fmt.Println("too slow for", e.Events)
		}
	}
	// Output:
	// message {"Symbol":"ACME","Price":1}
	// message {"Symbol":"ACME","Price":2}
	// message {"Symbol":"ACME","Price":3}
	// state disconnecting
	// state stopped
}

func ExampleClient_States() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := dialMarket(ctx, url)
	defer c.Close()

	for change := range c.States(ctx) { // the last change first, then each as it happens
		fmt.Println(change.To, change.Transport)
		if change.To == bayeux.Connected {
			go c.Drain(ctx)
		}
	}
	// Output:
	// connected websocket
	// disconnecting websocket
	// stopped websocket
}

func ExampleToken() {
	t := client.Basic("user", "hunter2")
	fmt.Printf("%v %+v %#v %s\n", t, t, t, t)
	fmt.Println(t.Authorization())
	// Output:
	// *** *** *** ***
	// Basic dXNlcjpodW50ZXIy
}

func ExampleWithTokenSource() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	c, err := client.Dial(ctx, url, client.WithTransports(wsclient.NewDialer()),
		client.WithTokenSource(func(ctx context.Context) (client.AccessToken, error) {
			// Asked before each handshake and after a 401, never twice at once.
			return client.Bearer("fresh"), nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.State())
	// Output: connected
}

// An oauthToken and an oauthSource have the shape of golang.org/x/oauth2's Token
// and TokenSource.
type oauthToken struct{ AccessToken, TokenType string }

func (t *oauthToken) Type() string { return t.TokenType }

type oauthSource interface{ Token() (*oauthToken, error) }

type staticSource oauthToken

func (s *staticSource) Token() (*oauthToken, error) { return (*oauthToken)(s), nil }

// A token source of golang.org/x/oauth2 needs these lines; that its Token takes
// no context, and may block, does no harm.
func ExampleWithTokenSource_oauth2() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	var source oauthSource = &staticSource{"00D…", "Bearer"}
	c, err := client.Dial(ctx, url, client.WithTransports(longpoll.NewDialer()),
		client.WithTokenSource(func(context.Context) (client.AccessToken, error) {
			t, err := source.Token()
			if err != nil {
				return nil, err
			}
			return client.Authorization(t.Type() + " " + t.AccessToken), nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.State())
	// Output: connected
}

func ExampleManual() {
	url, stop := market()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	m, err := client.NewManual(url, client.WithTransports(longpoll.NewDialer()))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	m.Handshake(ctx)
	m.Subscribe(ctx, "/quotes/*")
	start, err := bayeux.NewPublish(m.ID(), "/start", nil)
	if err != nil {
		log.Fatal(err)
	}
	got, err := m.Send(ctx, start) // the events ride along with the reply
	for _, msg := range got {
		fmt.Println(msg.Channel, string(msg.Data), msg.Outcome)
	}
	fmt.Println(m.State(), err)
	// Output:
	// /quotes/ACME {"Symbol":"ACME","Price":1} none
	// /quotes/ACME {"Symbol":"ACME","Price":2} none
	// /quotes/ACME {"Symbol":"ACME","Price":3} none
	// /start  succeeded
	// connecting <nil>
}
