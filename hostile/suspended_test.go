package hostile_test

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// listenUntilTheEnd is a program that listens to HOSTILE_SUSPENDED over the
// transport HOSTILE_TRANSPORT, and prints a line for each message, with its
// data, and for each gap, with its reason. A line of its input nudges it; it ends
// with its input.
func listenUntilTheEnd() {
	var d transport.Dialer = wsclient.NewDialer()
	if os.Getenv("HOSTILE_TRANSPORT") != d.Type() {
		d = longpoll.NewDialer()
	}
	c, err := cometd.New(os.Getenv("HOSTILE_SUSPENDED"), client.WithTransports(d), client.WithExtension(ack.Client()))
	if err != nil {
		panic(err)
	}
	_, err = c.SubscribeFunc(context.Background(), "/n", func(_ context.Context, m *bayeux.Message) error {
		fmt.Printf("message %s\n", m.Data)
		return nil
	}, client.WithOnGap(func(g client.Gap) { fmt.Printf("gap %s\n", g.Reason) }))
	if err != nil {
		panic(err)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		c.Nudge()
	}
}
