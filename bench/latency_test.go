package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/gocometd/cometd/bayeux"
)

// From a publish until the last subscriber has the message, over loopback
// sockets: one message at a time, and nothing else to do. A long-polling
// subscriber first has to come back with its next connect.
func BenchmarkLatency(b *testing.B) {
	for _, typ := range []string{bayeux.WebSocket, bayeux.LongPolling} {
		for _, subscribers := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/subscribers=%d", typ, subscribers), func(b *testing.B) { latency(b, typ, subscribers) })
		}
	}
}

func latency(b *testing.B, typ string, subscribers int) {
	srv, u := serve(b)
	heard := newTally(b)
	audience(b, u, typ, subscribers, func(int) string { return "/bench" }, heard)
	const longest = time.Minute
	h := hdrhistogram.New(1, int64(longest), 3)
	sent := 0
	for b.Loop() {
		began := time.Now()
		if err := srv.Publish(context.Background(), "/bench", numbered[sent%len(numbered)]); err != nil {
			b.Fatal(err)
		}
		sent++
		heard.await(sent * subscribers)
		_ = h.RecordValue(min(int64(time.Since(began)), int64(longest))) // within its bounds
	}
	b.ReportMetric(float64(h.ValueAtQuantile(50)), "p50-ns")
	b.ReportMetric(float64(h.ValueAtQuantile(99)), "p99-ns")
}
