package replay_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// ends are the ways in which a program ends its client.
var ends = map[string]func(c *client.Client) error{
	"drain": func(c *client.Client) error { return c.Drain(context.Background()) },
	"close": (*client.Client).Close,
}

// overEach runs a test in fake time over a stream and over exchanges, with a server that
// keeps messages as rule says.
func overEach(t *testing.T, rule replayserver.Rule, run func(t *testing.T, srv *server.Server, d transport.Dialer)) {
	for name, dialer := range map[string]func(*server.Server) transport.Dialer{
		"stream": func(srv *server.Server) transport.Dialer { return memory.NewDialer(srv.ServeConn) },
		"polls":  func(srv *server.Server) transport.Dialer { return memory.NewPollDialer(srv.ServeConn) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := newServer(t, replayserver.NewMemory(rule))
				defer srv.Close()
				run(t, srv, dialer(srv))
			})
		})
	}
}

// publish publishes so many messages on /a, 0 and so on. Those of before a subscribe
// come in few payloads.
func publish(t *testing.T, srv *server.Server, messages int) {
	for i := range messages {
		require.NoError(t, srv.Publish(t.Context(), "/a", i))
	}
}

// A program that ends its client while a full queue pauses reading, and is started
// again, misses nothing.
func TestAClientThatEndsWhileItsQueueIsFullMissesNothing(t *testing.T) {
	slowly := client.Extension{Name: "slowly", Incoming: func(_ context.Context, m *bayeux.Message) error {
		if m.Channel == "/a" {
			time.Sleep(time.Millisecond)
		}
		return nil
	}}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			overEach(t, replayserver.Rule{Pattern: "/**"}, func(t *testing.T, srv *server.Server, d transport.Dialer) {
				const all = 100
				publish(t, srv, all)
				positions, handled := new(replay.Memory), 0
				for run := 0; handled < all; run++ {
					require.Less(t, run, all)
					c, err := client.New("http://test/", client.WithTransports(d),
						client.WithExtension(slowly, replay.Client(replay.Config{Store: positions, First: replay.All})))
					require.NoError(t, err)
					_, err = c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
						time.Sleep(20 * time.Millisecond)
						assert.Equal(t, fmt.Sprint(handled), string(m.Data), "in run %d", run)
						handled++
						return nil
					}, client.WithQueue(2, client.Pause))
					require.NoError(t, err)
					time.Sleep(90 * time.Millisecond)
					require.NoError(t, end(c))
					<-c.Done()
					if t.Failed() {
						return
					}
				}
			})
		})
	}
}

// What one subscription has handled is not past what another one has still to handle.
func TestAtTheEndOfAClientAPositionPassesNothingThatASlowerSubscriptionHasNotHandled(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			overEach(t, replayserver.Rule{Pattern: "/**"}, func(t *testing.T, srv *server.Server, d transport.Dialer) {
				positions := new(replay.Memory)
				c, err := client.New("http://test/", client.WithTransports(d), client.WithExtension(replay.Client(replay.Config{Store: positions})))
				require.NoError(t, err)
				var quick, slow replay.ID
				notes := func(last *replay.ID, takes time.Duration) client.Handler {
					return func(ctx context.Context, m *bayeux.Message) error {
						if takes > 0 {
							select {
							case <-time.After(takes):
							case <-ctx.Done():
								return ctx.Err()
							}
						}
						_, err := m.Ext.Decode(replay.Name, last)
						return err
					}
				}
				_, err = c.SubscribeFunc(t.Context(), "/a", notes(&slow, time.Second), client.WithQueue(10, client.Pause))
				require.NoError(t, err)
				_, err = c.SubscribeFunc(t.Context(), "/a", notes(&quick, 0))
				require.NoError(t, err)
				publish(t, srv, 20)
				time.Sleep(1500 * time.Millisecond)
				assert.NoError(t, end(c))
				<-c.Done()
				id, _, err := positions.Load(t.Context(), "/a")
				require.NoError(t, err)
				assert.LessOrEqual(t, slow, quick)
				assert.Equal(t, slow, id)
			})
		})
	}
}
