package bench

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// Publishing where nobody listens: the lookup of the channel and of all its
// patterns, among so many channels.
func BenchmarkTree(b *testing.B) {
	for _, channels := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("channels=%d", channels), func(b *testing.B) {
			srv := treeOf(b, channels)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				require.NoError(b, srv.Publish(context.Background(), fmt.Sprintf("/tree/%d/leaf", i%channels), nil))
			}
		})
	}
}

// What a channel with one subscriber costs in memory. One step makes 100,000
// of them, so few steps are enough.
func BenchmarkChannelMemory(b *testing.B) {
	const channels = 100_000
	for b.Loop() {
		before := heap()
		srv := treeOf(b, channels)
		b.ReportMetric(float64(heap()-before)/channels, "B/channel")
		srv.Close()
	}
}

// treeOf makes a server with so many channels, each with a subscriber.
func treeOf(b *testing.B, channels int) *server.Server {
	srv, err := server.New(server.WithLimits(server.Limits{Subscriptions: -1, ChannelsCreated: -1}))
	require.NoError(b, err)
	dialer := memory.NewDialer(srv.ServeConn)
	session := shakeHands(b, srv, dialer)
	for i := range channels {
		require.NoError(b, session.Subscribe(fmt.Sprintf("/tree/%d/leaf", i)))
	}
	b.Cleanup(func() { srv.Close() })
	return srv
}

func shakeHands(b *testing.B, srv *server.Server, d transport.Dialer) *server.Session {
	c, err := d.Dial(context.Background(), &transport.Target{})
	require.NoError(b, err)
	b.Cleanup(func() { c.Close(transport.Normal) })
	require.NoError(b, c.Send(&transport.Payload{Messages: [][]byte{[]byte(`{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["websocket"]}`)}}))
	_, err = c.Receive()
	require.NoError(b, err)
	for s := range srv.Sessions() {
		return s
	}
	b.Fatal("no session")
	return nil
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
