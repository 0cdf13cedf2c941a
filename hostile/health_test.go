package hostile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/transport"
)

var began = time.Now()

// A beat is what healthy clients hear.
type beat struct {
	N  int
	At time.Duration // since began
}

// A healthy client checks that beats come in order, none missing, and notes how
// long they took.
type healthy struct {
	*client.Client
	t testing.TB

	got  atomic.Int64
	mu   sync.Mutex
	next int
	bad  error
	took []time.Duration // the beats since the last delays
}

func newHealthy(t testing.TB, url string, d transport.Dialer) *healthy {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	c, err := cometd.Dial(ctx, url, client.WithTransports(d))
	require.NoError(t, err)
	h := &healthy{Client: c, t: t, next: -1}
	_, err = c.SubscribeFunc(ctx, "/healthy", h.hear, client.WithOnGap(func(g client.Gap) { h.fail(fmt.Errorf("a gap: %+v", g)) }))
	require.NoError(t, err)
	return h
}

func (h *healthy) hear(_ context.Context, m *bayeux.Message) error {
	var b beat
	if err := json.Unmarshal(m.Data, &b); err != nil {
		h.fail(err)
	}
	took := time.Since(began) - b.At
	h.mu.Lock()
	want := h.next
	h.next = b.N + 1
	h.took = append(h.took, took)
	h.mu.Unlock()
	if want >= 0 && b.N != want {
		h.fail(fmt.Errorf("got message %d, want %d", b.N, want))
	}
	h.got.Add(1)
	return nil
}

func (h *healthy) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad == nil {
		h.bad = err
	}
}

func (h *healthy) fault() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bad
}

// delays are those of the beats since it was last called.
func (h *healthy) delays() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	took := h.took
	h.took = nil
	return took
}

// await waits until each has heard n more messages.
func await(n int64, all ...*healthy) {
	until := make([]int64, len(all))
	for i, h := range all {
		until[i] = h.got.Load() + n
	}
	for i, h := range all {
		h.t.Helper()
		require.Eventually(h.t, func() bool { return h.got.Load() >= until[i] }, long, time.Millisecond, "the healthy client hears nothing")
	}
}

func (h *healthy) end() {
	h.Close()
	<-h.Done()
}
