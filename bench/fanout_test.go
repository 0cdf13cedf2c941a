package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/gocometd/cometd/bayeux"
)

// One message to many subscribers over loopback sockets, 16 messages under way
// at once on each channel, and one at a time, where nothing can be batched. Both
// ends are in this process.
func BenchmarkFanOut(b *testing.B) {
	for _, subscribers := range []int{10, 100, 1000} {
		for _, window := range []int{16, 1} {
			b.Run(fmt.Sprintf("subscribers=%d/window=%d", subscribers, window), func(b *testing.B) {
				fanOut(b, bayeux.WebSocket, subscribers, 1, window)
			})
		}
	}
	b.Run("channels=100/subscribers=10/window=16", func(b *testing.B) { fanOut(b, bayeux.WebSocket, 1000, 100, 16) })
}

// The same to 200 long-polling subscribers, in batches of ten.
func BenchmarkPoll(b *testing.B) {
	b.Run("subscribers=200/window=10", func(b *testing.B) { fanOut(b, bayeux.LongPolling, 200, 1, 10) })
}

func fanOut(b *testing.B, typ string, subscribers, channels, window int) {
	srv, u := serve(b)
	name := func(i int) string { return fmt.Sprintf("/bench/%d", i%channels) }
	heard := newTally(b)
	audience(b, u, typ, subscribers, name, heard)
	b.ResetTimer()
	each := subscribers / channels
	perDelivery(b, b.N*each, func() {
		for i := range b.N {
			heard.await((i - window*channels + 1) * each) // of all channels, which take turns
			if err := srv.Publish(context.Background(), name(i), numbered[i/channels%len(numbered)]); err != nil {
				b.Fatal(err)
			}
		}
		heard.await(b.N * each)
	})
}
