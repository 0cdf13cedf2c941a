package ack_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
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

// While a stream cannot be opened a client asks for a new session over another
// transport. If the client cannot use what it gets, the old session goes on counting
// where it was.
func TestASubstituteThatComesToNothingCostsTheSessionNothing(t *testing.T) {
	for name, opts := range map[string][]ackserver.Option{"by number": nil, "by batch": {ackserver.WithoutNumbers()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				spoil := server.Extension{
					Channels: []string{bayeux.MetaHandshake},
					Outgoing: func(ctx context.Context, _ *server.Session, m *bayeux.Message) error {
						if server.PeerOf(ctx).Once {
							asked.Add(1)
							m.SupportedConnectionTypes = []string{bayeux.WebSocket}
						}
						return nil
					},
				}
				srv, err := server.New(server.WithTiming(server.Timing{MaxInterval: 10 * time.Minute}),
					server.WithExtension(ackserver.New(opts...)), server.WithExtension(spoil))
				require.NoError(t, err)
				defer srv.Close()
				stream, poll := &gate{Dialer: memory.NewDialer(srv.ServeConn)}, memory.NewPollDialer(srv.ServeConn)
				c, err := client.New("http://test/", client.WithTransports(stream, poll),
					client.WithBackoff(time.Second, time.Second), client.WithExtension(ack.Client()))
				require.NoError(t, err)
				defer c.Close()
				var got strings.Builder
				_, err = c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
					got.Write(m.Data)
					return nil
				}, client.WithOnGap(func(g client.Gap) { t.Errorf("gap: %+v", g) }))
				require.NoError(t, err)
				publish := func(n int) { require.NoError(t, srv.Publish(t.Context(), "/a", n)) }
				publish(1)
				publish(2)
				synctest.Wait()
				session := c.ID()
				stream.shut.Store(true)
				(*stream.last.Load()).Close(transport.GoingAway)
				synctest.Wait()
				publish(3)
				time.Sleep(10 * time.Second)
				require.NotZero(t, asked.Load(), "no substitute was asked for")
				publish(4)
				stream.shut.Store(false)
				time.Sleep(time.Minute)
				require.Equal(t, session, c.ID())
				publish(5)
				synctest.Wait()
				assert.Equal(t, "12345", got.String())
			})
		})
	}
}
