//go:build !js

package client_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// Both ends in one process, over loopback: a published message is acknowledged,
// and comes back to its publisher.
func BenchmarkRoundTrip(b *testing.B) {
	data := []byte(`"` + strings.Repeat("x", 126) + `"`)
	for _, d := range []transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()} {
		b.Run(d.Type(), func(b *testing.B) {
			_, url := serve(b)
			c := dial(b, url, client.WithTransports(d))
			sub, err := c.Subscribe(context.Background(), "/bench")
			if err != nil {
				b.Fatal(err)
			}
			room := make(chan struct{}, 1000)
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for range b.N {
					room <- struct{}{}
					if err := c.PublishFunc("/bench", data, func(error) { <-room }); err != nil {
						b.Error(err)
					}
				}
			}()
			n := 0
			for range sub.Messages(context.Background()) {
				if n++; n == b.N {
					break
				}
			}
		})
	}
}
