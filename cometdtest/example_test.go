package cometdtest_test

import (
	"context"
	"testing"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/cometdtest"
)

// A test of a program that comes back after a break, and after its server has
// forgotten it.
func ExampleNewServer() {
	watch := func(ctx context.Context, c *client.Client) { // the program: it acknowledges alerts
		_, _ = c.SubscribeFunc(ctx, "/alerts", func(ctx context.Context, m *bayeux.Message) error {
			return c.Publish(ctx, "/acks", m.Data)
		})
	}
	var t *testing.T // of a test of the program's own

	srv := cometdtest.NewServer(t)
	watch(t.Context(), srv.Dial())
	srv.AwaitSubscriber("/alerts")
	srv.Cut()    // every connection breaks, sessions live
	srv.Forget() // and every session is unknown: the client starts anew
	srv.AwaitSubscriber("/alerts")
	if err := srv.Publish(t.Context(), "/alerts", "fire"); err != nil {
		t.Error(err)
	}
	srv.AwaitPublished("/acks")
}
