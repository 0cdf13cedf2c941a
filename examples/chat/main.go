// Command chat is a chat in the terminal, on any Bayeux server:
//
//	go run ./cmd/cometd serve
//	go run ./examples/chat -name ada http://127.0.0.1:8080/cometd
//
// What is typed goes to everybody in the room. A lost connection is told and
// mended.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

// A Line is what somebody says, as the page of cometd serve says it.
type Line struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func main() {
	room := flag.String("room", "lobby", "`room` to talk in")
	name := flag.String("name", os.Getenv("USER"), "your `name`")
	flag.Parse()
	if flag.NArg() != 1 || *name == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), flag.Arg(0), "/chat/"+*room, *name, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run talks until the input ends.
func run(ctx context.Context, url, room, name string, in io.Reader, out io.Writer) error {
	c, err := cometd.Dial(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close()
	show := client.Typed(func(_ context.Context, l Line) error {
		_, err := fmt.Fprintf(out, "%s: %s\n", l.Name, l.Text)
		return err
	})
	gap := client.WithOnGap(func(client.Gap) { fmt.Fprintln(out, "(something may have been missed)") })
	if _, err := c.SubscribeFunc(ctx, room, show, gap); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	told := make(chan struct{})
	go func() {
		defer close(told)
		tell(ctx, c, out)
	}()
	defer func() { stop(); <-told }()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := c.Publish(ctx, room, Line{name, lines.Text()}); err != nil {
			fmt.Fprintln(out, "(not sent:", err, ")")
		}
	}
	return c.Drain(ctx)
}

// tell says when the connection goes and comes back.
func tell(ctx context.Context, c *client.Client, out io.Writer) {
	for change := range c.States(ctx) {
		switch change.To {
		case bayeux.Unconnected:
			fmt.Fprintln(out, "(connection lost, trying again)")
		case bayeux.Connected:
			fmt.Fprintln(out, "(connected over", change.Transport+")")
		}
	}
}
