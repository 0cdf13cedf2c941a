package ackserver_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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
	b.Run("without", func(b *testing.B) { fanOut(b, false) })
	b.Run("numbers", func(b *testing.B) { fanOut(b, true) })
	b.Run("batches", func(b *testing.B) { fanOut(b, true, ackserver.WithoutNumbers()) })
}

func fanOut(b *testing.B, acks bool, opts ...ackserver.Option) {
	a := newAudience(b, acks, opts...)
	sent := 0
	for b.Loop() {
		a.send(b.Context(), 1)
		sent++
	}
	a.settle()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent*subscribers), "ns/delivery")
}

// The throughput with acknowledgement in percent of that without it, measured
// in turns, so that a machine that gets slower meanwhile changes nothing. At
// least 70 is the goal.
//
//	go test -run xxx -bench Throughput -benchtime 30x -count 3 ./ext/ack/ackserver
func BenchmarkThroughput(b *testing.B) {
	const turn = 2000 // messages
	without, with := newAudience(b, false), newAudience(b, true)
	var took [2]time.Duration
	for b.Loop() {
		for i, a := range []*audience{without, with} {
			began := time.Now()
			a.send(b.Context(), turn)
			a.settle()
			took[i] += time.Since(began)
		}
	}
	b.ReportMetric(100*float64(took[0])/float64(took[1]), "%of-without")
	b.ReportMetric(float64(took[0].Nanoseconds())/float64(b.N*turn*subscribers), "ns/delivery-without")
	b.ReportMetric(float64(took[1].Nanoseconds())/float64(b.N*turn*subscribers), "ns/delivery-with")
}

const subscribers, window = 20, 256

// An audience is a server and clients that hear what it publishes.
type audience struct {
	srv       *server.Server
	heard     chan struct{}
	sent, got int // messages, deliveries
}

func newAudience(b *testing.B, acks bool, opts ...ackserver.Option) *audience {
	a := &audience{heard: make(chan struct{}, window*subscribers)}
	var so []server.Option
	if acks {
		so = append(so, server.WithExtension(ackserver.New(opts...)))
	}
	var err error
	a.srv, err = cometd.NewServer(so...)
	require.NoError(b, err)
	hs := httptest.NewServer(a.srv)
	b.Cleanup(func() { a.srv.Close(); hs.Close() })
	for range subscribers {
		var co []client.Option
		if acks {
			co = append(co, client.WithExtension(ack.Client()))
		}
		c, err := cometd.Dial(b.Context(), hs.URL, co...)
		require.NoError(b, err)
		b.Cleanup(func() { c.Close() })
		_, err = c.SubscribeFunc(b.Context(), "/quotes", func(context.Context, *bayeux.Message) error { a.heard <- struct{}{}; return nil })
		require.NoError(b, err)
	}
	return a
}

var quote = strings.Repeat("x", 126)

// send publishes n messages, and waits while more than the window are under way.
func (a *audience) send(ctx context.Context, n int) {
	for range n {
		a.srv.Publish(ctx, "/quotes", quote)
		for a.sent++; a.sent*subscribers-a.got > window*subscribers; a.got++ {
			<-a.heard
		}
	}
}

// settle waits until everything has arrived.
func (a *audience) settle() {
	for ; a.got < a.sent*subscribers; a.got++ {
		<-a.heard
	}
}
