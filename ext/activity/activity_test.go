package activity_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/activity"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

// life runs a client that publishes or hears something every minute for ten
// minutes, and returns how long it was connected in all, up to an hour.
func life(t *testing.T, w activity.Who, publishes, hears bool) (connected time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := server.New(server.WithExtension(activity.Server(w, 5*time.Minute)))
		require.NoError(t, err)
		c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)))
		require.NoError(t, err)
		_, err = c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		begin := time.Now()
		for range 10 {
			time.Sleep(time.Minute)
			if publishes {
				c.PublishFunc("/b", 1, nil)
			}
			if hears {
				srv.Publish(t.Context(), "/a", 1)
			}
		}
		select {
		case <-c.Done():
		case <-time.After(time.Hour - time.Since(begin)):
		}
		connected = time.Since(begin)
		c.Close()
		srv.Close()
	})
	return connected.Round(time.Minute)
}

func TestWhoDoesNothingForTooLongIsDisconnected(t *testing.T) {
	for _, c := range []struct {
		who              activity.Who
		publishes, hears bool
		want             time.Duration
	}{
		{activity.Client, false, false, 10 * time.Minute}, // looked at when the ten minutes are over
		{activity.Client, true, false, 15 * time.Minute},
		{activity.Client, false, true, 10 * time.Minute},
		{activity.ClientAndServer, false, true, 15 * time.Minute},
	} {
		assert.Equal(t, c.want, life(t, c.who, c.publishes, c.hears), "%+v", c)
	}
}

func Example() {
	srv, err := server.New(server.WithExtension(activity.Server(activity.Client, 15*time.Minute)))
	fmt.Println(err, srv.Publish(context.Background(), "/a", 1))
	srv.Close()
	// Output: <nil> <nil>
}

func TestWithoutATimeNobodyCouldBeActive(t *testing.T) {
	for _, max := range []time.Duration{0, -time.Second} {
		assert.Panics(t, func() { activity.Server(activity.Client, max) })
	}
}
