package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

// Acknowledged publishes of one client, pipelined, over one WebSocket. Both
// ends are in this process.
func BenchmarkPublish(b *testing.B) {
	_, u := serve(b)
	c := dial(b, u.String())
	done := newTally(b)
	b.ResetTimer()
	for i := range b.N {
		done.await(i - 512)
		require.NoError(b, c.PublishFunc("/bench", numbered[0], func(err error) {
			if err != nil {
				done.fail(err)
			}
			done.add(1)
		}))
	}
	done.await(b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "publishes/s")
}

// Messages of 128 bytes that a client decodes and hands to a callback, over one
// WebSocket. Both ends are in this process.
func BenchmarkReceive(b *testing.B) {
	srv, u := serve(b)
	c := dial(b, u.String())
	heard := newTally(b)
	var due order
	_, err := c.SubscribeFunc(context.Background(), "/bench", func(_ context.Context, m *bayeux.Message) error {
		if err := due.next(m.Data[1:]); err != nil {
			heard.fail(err)
		}
		heard.add(1)
		return nil
	}, client.WithQueue(4096, client.Pause))
	require.NoError(b, err)
	b.ResetTimer()
	for i := range b.N {
		heard.await(i - 2048)
		require.NoError(b, srv.Publish(context.Background(), "/bench", numbered[i%len(numbered)]))
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
