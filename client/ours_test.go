//go:build !js

package client_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Hours with our own server, in fake time: nothing is lost, doubled or
// reordered, and one session lasts.
func TestHoursWithOurServer(t *testing.T) {
	for _, poll := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv, err := cometd.NewServer()
			require.NoError(t, err)
			defer srv.Close()
			var d transport.Dialer = memory.NewDialer(srv.ServeConn)
			if poll {
				d = memory.NewPollDialer(srv.ServeConn)
			}
			c, err := client.Dial(t.Context(), "http://test/cometd", client.WithTransports(d))
			require.NoError(t, err)
			defer func() { c.Close(); <-c.Done() }()
			id := c.ID()
			got := 0
			_, err = c.SubscribeFunc(t.Context(), "/n", client.Typed(func(_ context.Context, n int) error {
				assert.Equal(t, got, n)
				got++
				return nil
			}))
			require.NoError(t, err)
			for n := range 1000 {
				require.NoError(t, srv.Publish(t.Context(), "/n", n))
				time.Sleep(time.Duration(n%60) * time.Second)
			}
			synctest.Wait()
			assert.Equal(t, 1000, got)
			assert.Equal(t, id, c.ID())
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Zero(t, c.Stats().Reconnects)
		})
	}
}
