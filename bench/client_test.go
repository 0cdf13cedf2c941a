package bench

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/codec"
)

// Acknowledged publishes of one client, pipelined, over one WebSocket. Both
// ends are in this process.
func BenchmarkPublish(b *testing.B) {
	_, u := serve(b)
	c := dial(b, u.String())
	data, err := codec.Encode([]byte(data128))
	require.NoError(b, err)
	done := newTally()
	var failed atomic.Value
	b.ResetTimer()
	for i := range b.N {
		done.await(i - 512)
		require.NoError(b, c.PublishFunc("/bench", data, func(err error) {
			if err != nil {
				failed.Store(err)
			}
			done.add(1)
		}))
	}
	done.await(b.N)
	require.Nil(b, failed.Load())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publishes/s")
}

// Messages of 128 bytes that a client decodes and hands to a callback, over one
// WebSocket. Both ends are in this process.
func BenchmarkReceive(b *testing.B) {
	srv, u := serve(b)
	c := dial(b, u.String())
	heard := newTally()
	_, err := c.SubscribeFunc(context.Background(), "/bench", func(context.Context, *bayeux.Message) error {
		heard.add(1)
		return nil
	}, client.WithQueue(4096, client.Pause))
	require.NoError(b, err)
	data, err := codec.Encode([]byte(data128))
	require.NoError(b, err)
	b.ResetTimer()
	for i := range b.N {
		heard.await(i - 2048)
		require.NoError(b, srv.Publish(context.Background(), "/bench", data))
	}
	heard.await(b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func dial(b *testing.B, url string) *client.Client {
	c, err := cometd.Dial(context.Background(), url)
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })
	return c
}
