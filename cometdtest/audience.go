package cometdtest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/server"
)

// An Audience is a number of clients that read one channel, for benchmarks.
type Audience struct {
	s  *Server
	ch string

	mu      sync.Mutex
	more    *sync.Cond
	sent    []time.Time // when the server took each message
	read    int
	latency []time.Duration
}

// Audience makes n clients with the given options, subscribes each to ch, and
// returns when all are. They are closed by t.Cleanup.
func (s *Server) Audience(n int, ch string, opts ...client.Option) *Audience {
	s.t.Helper()
	a := &Audience{s: s, ch: ch}
	a.more = sync.NewCond(&a.mu)
	s.Handle(ch, a.published)
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience)
	defer cancel()
	var all sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		c := s.Dial(opts...)
		all.Go(func() { errs <- a.join(ctx, c) })
	}
	all.Wait()
	for range n {
		if err := <-errs; err != nil {
			s.t.Fatalf("cometdtest: audience: %v", err)
		}
	}
	return a
}

// join subscribes one reader. Each message it gets is the next one it waits
// for, because delivery is in order; the latest one of a SendLast channel, which
// comes first, is none of them.
func (a *Audience) join(ctx context.Context, c *client.Client) error {
	a.mu.Lock()
	next := len(a.sent)
	a.mu.Unlock()
	_, err := c.SubscribeFunc(ctx, a.ch, func(context.Context, *bayeux.Message) error {
		now := time.Now()
		a.mu.Lock()
		defer a.mu.Unlock()
		if next >= len(a.sent) {
			return nil
		}
		a.latency = append(a.latency, now.Sub(a.sent[next]))
		next++
		a.read++
		a.more.Broadcast()
		return nil
	})
	return err
}

func (a *Audience) published(context.Context, *server.Session, *bayeux.Message) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent = append(a.sent, time.Now())
	return nil
}

// Await waits until the readers together have got that many messages, and
// fails the test if nothing comes for ten seconds.
func (a *Audience) Await(deliveries int) {
	a.s.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.read < deliveries {
		before := a.read
		timer := time.AfterFunc(patience, a.more.Broadcast)
		a.more.Wait()
		if !timer.Stop() && a.read == before {
			a.s.t.Fatalf("cometdtest: %d deliveries of %d, and no more within %v", a.read, deliveries, patience)
		}
	}
}

// Latency returns the time from the server's taking a message to a reader's
// having it, below which a fraction q of all deliveries lie: 0.99 is the 99th
// percentile. Before the first delivery it is 0.
func (a *Audience) Latency(q float64) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.latency) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(a.latency))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
