package ack_test

import (
	"context"
	"strings"
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
	"github.com/gocometd/cometd/transport/memory"
)

// A server may make its ids of who the client is, and count anew in each session.
func TestASessionWithTheIDOfTheOneBeforeCountsFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := server.New(server.WithSessionIDs(func() string { return strings.Repeat("ann", 10) }), server.WithExtension(ackserver.New()))
		require.NoError(t, err)
		defer srv.Close()
		c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(ack.Client()))
		require.NoError(t, err)
		defer c.Close()
		var got strings.Builder
		_, err = c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
			got.Write(m.Data)
			return nil
		})
		require.NoError(t, err)
		for n := 1; n <= 9; n++ {
			if n%3 == 0 {
				srv.Session(c.ID()).Expire(time.Now(), 0)
				synctest.Wait()
				time.Sleep(time.Minute)
			}
			require.NoError(t, srv.Publish(t.Context(), "/a", n))
			synctest.Wait()
		}
		assert.Equal(t, "123456789", got.String())
	})
}
