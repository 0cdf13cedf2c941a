// Command salesforce follows a channel of Salesforce's Streaming API and prints
// what happens, from where it stopped the last time.
//
//	go run ./examples/salesforce -demo
//	SALESFORCE_TOKEN=00D… go run ./examples/salesforce -url https://acme.my.salesforce.com/cometd/62.0 -channel /event/Order__e
//
// With -demo it talks to a stand-in of its own that forgets sessions and expires
// tokens, so that one sees what the client makes of it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/longpoll"
)

// settings are what a run needs to know.
type settings struct {
	url       string
	channel   string
	positions string // file
	token     func(context.Context) (client.AccessToken, error)
	log       *slog.Logger
}

func main() {
	s := settings{log: slog.Default(), token: fromEnvironment}
	demo := flag.Bool("demo", false, "talk to a stand-in instead of Salesforce")
	flag.StringVar(&s.url, "url", "", "the Streaming API's `URL`, https://…/cometd/62.0")
	flag.StringVar(&s.channel, "channel", "/event/Order__e", "`channel` to follow")
	flag.StringVar(&s.positions, "positions", "positions.json", "`file` that remembers how far we are")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	if *demo {
		err = runDemo(ctx, s, os.Stdout)
	} else {
		err = run(ctx, s, os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// fromEnvironment is asked before each handshake and after each 401. A program
// that stays up for longer than a token lives gets a new one here, as
// golang.org/x/oauth2's token sources do.
func fromEnvironment(context.Context) (client.AccessToken, error) {
	token := os.Getenv("SALESFORCE_TOKEN")
	if token == "" {
		return nil, errors.New("set SALESFORCE_TOKEN")
	}
	return client.Bearer(token), nil
}

// An order is the payload of the event; a program has its own type here.
type order struct {
	Payload json.RawMessage `json:"payload"`
	Event   struct {
		ReplayID int64 `json:"replayId"`
	} `json:"event"`
}

// run follows the channel until ctx ends or the server refuses for good.
func run(ctx context.Context, s settings, out io.Writer) error {
	positions, err := replay.File(s.positions)
	if err != nil {
		return err
	}
	c, err := client.New(s.url, client.WithTransports(longpoll.NewDialer()), client.WithTokenSource(s.token),
		client.WithLogger(s.log), replay.Salesforce(positions))
	if err != nil {
		return err
	}
	defer c.Close()
	book := func(_ context.Context, o order) error { // its position is stored when this returns nil
		_, err := fmt.Fprintf(out, "%d %s\n", o.Event.ReplayID, o.Payload)
		return err
	}
	missed := func(g client.Gap) { fmt.Fprintf(out, "gap: %v\n", g.Reason) }
	sub, err := c.SubscribeFunc(ctx, s.channel, client.Typed(book), client.WithOnGap(missed))
	if err != nil {
		return err
	}
	select {
	case <-sub.Done():
		return sub.Err()
	case <-ctx.Done():
		err := c.Drain(context.WithoutCancel(ctx))
		<-c.Done() // book has returned, and what it handled is stored
		return err
	}
}

// runDemo runs against a stand-in that has its moods.
func runDemo(ctx context.Context, s settings, out io.Writer) error {
	dir, err := os.MkdirTemp("", "salesforce") // the stand-in's ids begin anew each time
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s.positions = filepath.Join(dir, "positions.json")
	o := newOrg("token0")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	hs := &http.Server{Handler: o, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() { defer close(served); _ = hs.Serve(ln) }()
	moods := make(chan struct{})
	go func() {
		defer close(moods)
		live(ctx, o, s.channel, time.Second)
	}()
	s.url = "http://" + ln.Addr().String() + "/cometd/62.0"
	s.token = func(context.Context) (client.AccessToken, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return client.Bearer(o.token), nil
	}
	err = run(ctx, s, out)
	<-moods
	hs.Close()
	<-served
	return err
}

// live publishes an event at each tick, and does the org's mischief.
func live(ctx context.Context, o *org, ch string, tick time.Duration) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for n := 1; ; n++ {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		o.publish(ch, map[string]int{"Number__c": n})
		switch n % 20 {
		case 5:
			o.forget()
		case 10:
			o.expireToken(fmt.Sprint("token", n))
		case 15:
			o.fail(http.StatusServiceUnavailable)
		}
	}
}
