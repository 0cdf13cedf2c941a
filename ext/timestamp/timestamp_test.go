package timestamp_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/timestamp"
	"github.com/gocometd/cometd/ext/timestamp/timestampserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

func TestBothEndsStampWhatTheySend(t *testing.T) {
	var mu sync.Mutex
	stamps := map[string]string{}
	spy := server.Extension{Incoming: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		mu.Lock()
		defer mu.Unlock()
		stamps["to "+m.Channel] = m.Timestamp
		return nil
	}}
	srv, err := server.New(server.WithExtension(timestampserver.New(), spy))
	require.NoError(t, err)
	defer srv.Close()
	c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(timestamp.Client()))
	require.NoError(t, err)
	defer c.Close()
	replies, err := c.Listen(bayeux.MetaSubscribe)
	require.NoError(t, err)
	sub, err := c.Subscribe(t.Context(), "/a")
	require.NoError(t, err)
	require.NoError(t, c.Publish(t.Context(), "/a", 1))
	for m := range sub.Messages(t.Context()) {
		assert.Empty(t, m.Timestamp)
		break
	}
	for m := range replies.Messages(t.Context()) {
		mu.Lock()
		stamps["reply"] = m.Timestamp
		mu.Unlock()
		break
	}
	mu.Lock()
	defer mu.Unlock()
	for _, of := range []string{"to /meta/handshake", "to /meta/subscribe", "to /a", "reply"} {
		_, err := time.Parse(timestamp.Layout, stamps[of])
		assert.NoError(t, err, of)
	}
}

func Example() {
	m := &bayeux.Message{Channel: "/chat"}
	timestamp.Client().Outgoing(context.Background(), m)
	_, err := time.Parse(timestamp.Layout, m.Timestamp)
	fmt.Println(err)
	// Output: <nil>
}
