package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// Publishing where nobody listens, on each of so many channels in turn. The
// lookup of the channel and its patterns allocates nothing (BenchmarkLookup in
// package server); what is left is the message on its way, its event and that
// one's text, and four closures of the walk over those who get it: once for a
// publish, however many they are.
func BenchmarkTree(b *testing.B) {
	for _, channels := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("channels=%d", channels), func(b *testing.B) {
			srv := plain(b)
			names := namesOf(channels)
			publishAll(b, srv, names)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				publishAll(b, srv, names[i:i+1])
				if i++; i == len(names) {
					i = 0
				}
			}
		})
	}
}

// publishAll publishes nothing on each channel, which makes it.
func publishAll(b *testing.B, srv *server.Server, names []string) {
	for _, name := range names {
		if err := srv.Publish(context.Background(), name, nil); err != nil {
			b.Fatal(err)
		}
	}
}

const many = 100_000

// Many channels, and one session that subscribes to each and leaves it: the
// memory of a channel that is used, and what a subscription to it takes. One
// step makes all of them, so few are enough: -benchtime 3x.
func BenchmarkManyChannels(b *testing.B) {
	names := namesOf(many)
	for b.Loop() {
		srv := plain(b)
		session, before := shakeHands(b, srv, memory.NewDialer(srv.ServeConn)), heap()
		publishAll(b, srv, names)
		b.ReportMetric((float64(heap())-float64(before))/many, "B/channel")
		subscriptions(b, len(names), func(i int) error { return session.Subscribe(names[i]) },
			func(i int) { session.Unsubscribe(names[i]) })
		srv.Close()
	}
}

// Many sessions that subscribe to one channel, and leave it. The memory of the
// sessions does not count.
func BenchmarkManySubscribers(b *testing.B) {
	for b.Loop() {
		srv := plain(b)
		d := memory.NewDialer(srv.ServeConn)
		sessions := make([]*server.Session, many)
		for i := range sessions {
			sessions[i] = shakeHands(b, srv, d)
		}
		subscriptions(b, len(sessions), func(i int) error { return sessions[i].Subscribe("/tree/leaf") },
			func(i int) { sessions[i].Unsubscribe("/tree/leaf") })
		srv.Close()
	}
}

// subscriptions makes and ends n of them, and reports what each cost.
func subscriptions(b *testing.B, n int, subscribe func(int) error, leave func(int)) {
	before, cpu := heap(), cpuTime(b)
	for i := range n {
		if err := subscribe(i); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(n), "cpu-ns/subscribe")
	b.ReportMetric((float64(heap())-float64(before))/float64(n), "B/subscription")
	cpu = cpuTime(b)
	for i := range n {
		leave(i)
	}
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(n), "cpu-ns/unsubscribe")
}

func namesOf(channels int) (names []string) {
	for i := range channels {
		names = append(names, fmt.Sprintf("/tree/%d/leaf", i))
	}
	return names
}

// plain is a server that keeps channels without subscribers, and sessions that
// do not connect.
func plain(b *testing.B) *server.Server {
	srv, err := server.New(
		server.WithLimits(server.Limits{Subscriptions: -1, ChannelsCreated: -1, Sessions: -1, SessionsPerAddr: -1}),
		server.WithTiming(server.Timing{MaxInterval: time.Hour}),
		server.WithChannel("/**", server.ChannelOptions{Persistent: true}))
	require.NoError(b, err)
	b.Cleanup(func() { srv.Close() })
	return srv
}

func shakeHands(b *testing.B, srv *server.Server, d transport.Dialer) *server.Session {
	c, err := d.Dial(context.Background(), &transport.Target{})
	require.NoError(b, err)
	b.Cleanup(func() { c.Close(transport.Normal) })
	require.NoError(b, c.Send(&transport.Payload{Messages: [][]byte{[]byte(`{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["websocket"]}`)}}))
	r, err := c.Receive()
	require.NoError(b, err)
	var replies []*bayeux.Message
	require.NoError(b, json.NewDecoder(r).Decode(&replies))
	session := srv.Session(replies[0].ClientID)
	require.NotNil(b, session)
	return session
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
