package ackserver_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
)

// What acknowledgement costs: messages of 128 bytes to 20 subscribers over
// WebSocket on loopback, at most 256 of them under way, client and server in
// one process. One op is one message to all.
//
//	go test -run xxx -bench FanOut -benchtime 20000x ./ext/ack/ackserver
func BenchmarkFanOut(b *testing.B) {
	b.Run("without", func(b *testing.B) { fanOut(b, nil, func() client.Option { return nil }) })
	b.Run("numbers", func(b *testing.B) {
		fanOut(b, []server.Option{server.WithExtension(ackserver.New())}, withAck)
	})
	b.Run("batches", func(b *testing.B) {
		fanOut(b, []server.Option{server.WithExtension(ackserver.New(ackserver.WithoutNumbers()))}, withAck)
	})
}

func withAck() client.Option { return client.WithExtension(ack.Client()) }

func fanOut(b *testing.B, so []server.Option, co func() client.Option) {
	srv, err := cometd.NewServer(so...)
	require.NoError(b, err)
	defer srv.Close()
	hs := httptest.NewServer(srv)
	defer hs.Close()
	const subscribers, window = 20, 256
	done := make(chan struct{}, window*subscribers)
	for range subscribers {
		c, err := cometd.Dial(b.Context(), hs.URL, co())
		require.NoError(b, err)
		defer c.Close()
		_, err = c.SubscribeFunc(b.Context(), "/quotes", func(context.Context, *bayeux.Message) error { done <- struct{}{}; return nil })
		require.NoError(b, err)
	}
	data := strings.Repeat("x", 126)
	sent, got := 0, 0
	for b.Loop() {
		srv.Publish(b.Context(), "/quotes", data)
		for sent++; sent*subscribers-got > window*subscribers; got++ {
			<-done
		}
	}
	for ; got < sent*subscribers; got++ {
		<-done
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(got), "ns/delivery")
}
