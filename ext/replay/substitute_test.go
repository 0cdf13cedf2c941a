package replay_test

import (
	"context"
	"errors"
	"sync/atomic"
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

// A gate is a dialer that can be shut.
type gate struct {
	transport.Dialer
	shut atomic.Bool
	last atomic.Pointer[transport.Conn]
}

func (g *gate) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	if g.shut.Load() {
		return nil, errors.New("shut")
	}
	conn, err := g.Dialer.Dial(ctx, t)
	if err == nil {
		g.last.Store(&conn)
	}
	return conn, err
}

// cut breaks the connection, and lets no other one through.
func (g *gate) cut() {
	g.shut.Store(true)
	(*g.last.Load()).Close(transport.GoingAway)
}

// While a stream cannot be opened a client asks for a new session over another
// transport. If that comes to nothing the old one goes on as it was: subscriptions
// that begin then get what is retained, those there are lose no position, and those
// that overlap are told apart.
func TestASubstituteThatComesToNothingCostsTheSessionNothing(t *testing.T) {
	refused := &bayeux.Error{Code: 503, Message: "try_again_later", Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain}}
	for name, e := range map[string]server.Extension{
		"refused": {Incoming: func(ctx context.Context, _ *server.Session, _ *bayeux.Message) error {
			if server.PeerOf(ctx).Once {
				return refused
			}
			return nil
		}},
		"of no use": {Outgoing: func(ctx context.Context, _ *server.Session, m *bayeux.Message) error {
			if server.PeerOf(ctx).Once {
				m.SupportedConnectionTypes = []string{bayeux.WebSocket}
			}
			return nil
		}},
	} {
		e.Channels = []string{bayeux.MetaHandshake}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, err := replayserver.New(replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
				require.NoError(t, err)
				srv, err := server.New(h, server.WithTiming(server.Timing{MaxInterval: 10 * time.Minute}), server.WithExtension(e))
				require.NoError(t, err)
				defer srv.Close()
				stream, poll := &gate{Dialer: memory.NewDialer(srv.ServeConn)}, memory.NewPollDialer(srv.ServeConn)
				var handshakes atomic.Int32
				c, err := client.New("http://test/", client.WithTransports(stream, poll), client.WithBackoff(time.Second, time.Second),
					client.WithExtension(replay.Client(replay.Config{First: replay.All})),
					client.WithExtension(client.Extension{
						Channels: []string{bayeux.MetaHandshake},
						Incoming: func(context.Context, *bayeux.Message) error { handshakes.Add(1); return nil },
					}))
				require.NoError(t, err)
				defer c.Close()
				var wide, narrow heard
				_, err = c.SubscribeFunc(t.Context(), "/a/*", wide.handle)
				require.NoError(t, err)
				publish := func(n int) { require.NoError(t, srv.Publish(t.Context(), "/a/x", n)) }
				publish(0)
				synctest.Wait()
				session := c.ID()
				stream.cut()
				time.Sleep(10 * time.Second)
				require.Greater(t, handshakes.Load(), int32(1), "a substitute was asked for")
				stream.shut.Store(false)
				time.Sleep(time.Minute)
				require.Equal(t, session, c.ID())
				require.Equal(t, bayeux.Connected, c.State())

				_, err = c.SubscribeFunc(t.Context(), "/a/x", narrow.handle)
				require.NoError(t, err)
				publish(1)
				synctest.Wait()
				assert.Equal(t, []int{0, 1}, narrow.so())
				assert.Equal(t, []int{0, 1}, wide.so())
				expireAll(srv)
				time.Sleep(time.Minute)
				publish(2)
				synctest.Wait()
				assert.Equal(t, []int{0, 1, 2}, narrow.so())
				assert.Equal(t, []int{0, 1, 2}, wide.so())
			})
		})
	}
}
