//go:build !js

package client_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/wsclient"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// accepting counts the connections of a listener.
type accepting struct {
	net.Listener
	n atomic.Int32
}

func (a *accepting) Accept() (net.Conn, error) {
	conn, err := a.Listener.Accept()
	if err == nil {
		a.n.Add(1)
	}
	return conn, err
}

// A server that is started again accepts exactly one connection of a client, on
// a real socket, with its cookies, and also where a session is bound to the
// connection of its handshake.
func TestARestartedServerAcceptsOneConnectionOfAClient(t *testing.T) {
	for name, opts := range map[string][]server.Option{
		"default":                  nil,
		"handshake per connection": {server.WithHandshakePerConnection()},
	} {
		t.Run(name, func(t *testing.T) {
			up := func(address string) (*accepting, *server.Server, func()) {
				ln, err := net.Listen("tcp", address)
				require.NoError(t, err)
				counted := &accepting{Listener: ln}
				srv, err := cometd.NewServer(opts...)
				require.NoError(t, err)
				hs := &http.Server{Handler: srv}
				served := make(chan struct{})
				go func() { defer close(served); hs.Serve(counted) }()
				return counted, srv, func() { hs.Close(); srv.Close(); <-served }
			}
			ln, _, down := up("127.0.0.1:0")
			address := ln.Addr().String()
			c := dial(t, "http://"+address, client.WithTransports(wsclient.NewDialer()), client.WithBackoff(10*time.Millisecond, 100*time.Millisecond))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			sub, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			old := c.ID()
			failures, events := 0, c.Events(ctx)
			down()
			for e := range events { // so many that a client whose stream failed too would forget its cookies
				if _, failed := e.(client.Failure); failed {
					failures++
				}
				if failures == 4 {
					break
				}
			}
			ln, srv, down := up(address)
			defer down()
			require.Eventually(t, func() bool { return srv.SubscriberCount("/a") == 1 && c.ID() != old && c.ID() != "" }, 20*time.Second, time.Millisecond)
			require.NoError(t, c.Publish(ctx, "/a", "again"))
			for m := range sub.Messages(ctx) {
				assert.Equal(t, `"again"`, string(m.Data))
				break
			}
			require.NoError(t, ctx.Err())
			assert.EqualValues(t, 1, ln.n.Load())
		})
	}
}
