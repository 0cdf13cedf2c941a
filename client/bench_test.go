package client

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// acker accepts everything as fast as it can, and pushes what push gives.
func acker(push <-chan *transport.Payload) func(transport.Conn) {
	return func(conn transport.Conn) {
		var mu sync.Mutex
		go func() { // ends with its push
			if push == nil {
				return
			}
			for p := range push {
				mu.Lock()
				conn.Send(p)
				mu.Unlock()
			}
		}()
		var buf []byte
		for {
			r, err := conn.Receive()
			if err != nil {
				return
			}
			b, err := codec.Read(r, codec.Limits{Messages: -1, Bytes: -1})
			if err != nil {
				return
			}
			p := transport.Payload{}
			buf = buf[:0]
			for i := range b.Views {
				v := &b.Views[i]
				start := len(buf)
				switch string(v.Channel) {
				case bayeux.MetaHandshake:
					buf = fmt.Appendf(buf, `{"channel":"/meta/handshake","id":"%s","successful":true,"clientId":"abc"}`, v.ID)
				case bayeux.MetaConnect:
					continue // held for ever
				default:
					buf = codec.AppendAck(buf, v.Channel, v.ID)
				}
				p.Messages = append(p.Messages, buf[start:])
			}
			b.Release()
			if len(p.Messages) > 0 {
				mu.Lock()
				conn.Send(&p)
				mu.Unlock()
			}
		}
	}
}

func benchClient(b *testing.B, push <-chan *transport.Payload, opts ...Option) *Client {
	c, err := New(testURL, append(opts, WithTransports(memory.NewDialer(acker(push))))...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close(); <-c.Done() })
	return c
}

// The goal is 100,000 a second on one core: 10 µs each, both ends here.
func BenchmarkPublish(b *testing.B) {
	data := []byte(`"` + strings.Repeat("x", 126) + `"`)
	b.Run("waiting", func(b *testing.B) {
		c := benchClient(b, nil)
		b.ReportAllocs()
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := c.Publish(context.Background(), "/bench/a", data); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("pipelined", func(b *testing.B) {
		c := benchClient(b, nil)
		room := make(chan struct{}, 1000)
		done := func(error) { <-room }
		b.ReportAllocs()
		for b.Loop() {
			room <- struct{}{}
			if err := c.PublishFunc("/bench/a", data, done); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The goal is 1,000,000 a second on one core: 1 µs each, with the memory copies
// of the other end.
func BenchmarkReceive(b *testing.B) {
	message := []byte(`{"channel":"/bench/a","data":"` + strings.Repeat("x", 126) + `"}`)
	for _, frame := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("frame", frame), func(b *testing.B) {
			push := make(chan *transport.Payload)
			defer close(push)
			c := benchClient(b, push)
			sub, err := c.Subscribe(context.Background(), "/bench/*")
			if err != nil {
				b.Fatal(err)
			}
			p := &transport.Payload{}
			for range frame {
				p.Messages = append(p.Messages, message)
			}
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for i := 0; i < b.N; i += frame {
					push <- p
				}
			}()
			n := 0
			for range sub.Messages(context.Background()) {
				if n++; n >= b.N {
					break
				}
			}
		})
	}
}
