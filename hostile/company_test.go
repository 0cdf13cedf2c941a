package hostile_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

const (
	each = 5                // healthy subscribers over each transport
	pace = time.Second / 50 // between two messages for all of them
)

// A company is the healthy clients of a server elsewhere: subscribers over both
// transports, and one publisher.
type company struct {
	t   testing.TB
	all [2][]*healthy
}

func accompany(s *elsewhere) *company {
	c := &company{t: s.t}
	for i, d := range []func() transport.Dialer{
		func() transport.Dialer { return wsclient.NewDialer() },
		func() transport.Dialer { return longpoll.NewDialer() },
	} {
		for range each {
			c.all[i] = append(c.all[i], newHealthy(s.t, s.url(), d()))
		}
	}
	publisher, err := cometd.Dial(s.t.Context(), s.url())
	require.NoError(s.t, err)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(pace):
				publisher.PublishFunc("/healthy", beat{n, time.Since(began)}, func(error) {})
			}
		}
	}()
	s.t.Cleanup(func() {
		close(stop)
		<-stopped
		publisher.Close()
		<-publisher.Done()
		c.each(func(h *healthy) { h.end() })
	})
	c.await(5)
	return c
}

func (c *company) each(f func(h *healthy)) {
	for _, all := range c.all {
		for _, h := range all {
			f(h)
		}
	}
}

func (c *company) await(n int64) { await(n, slices.Concat(c.all[0], c.all[1])...) }

// listen is for as long as one measurement takes, and returns the delays then.
func (c *company) listen() [2][]time.Duration {
	c.delays()
	time.Sleep(measured())
	return c.delays()
}

// delays are those since it was last called, over each transport.
func (c *company) delays() (took [2][]time.Duration) {
	for i, all := range c.all {
		for _, h := range all {
			took[i] = append(took[i], h.delays()...)
		}
	}
	return took
}

// check fails if a healthy client has missed something.
func (c *company) check() {
	c.each(func(h *healthy) {
		assert.NoError(c.t, h.fault(), "a healthy client over %s", h.Stats().Transport)
		assert.Zero(c.t, h.Stats().Reconnects, "a healthy client lost its connection")
	})
}
