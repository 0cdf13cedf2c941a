package hostile_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
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
	everything = "all of them at once"
	each       = 5                // healthy subscribers over each transport
	pace       = time.Second / 50 // between two messages for all of them
)

// measured is for how long healthy clients are watched under each assault, and
// before it for half as long: HOSTILE_TIME, such as 10s.
func measured() time.Duration {
	d, err := time.ParseDuration(os.Getenv("HOSTILE_TIME"))
	if err != nil {
		return 10 * time.Second
	}
	return d
}

// A server, its attackers and its healthy clients in three processes: prints
// what the healthy clients went through, and what the server had, under each
// assault. It fails where a message is missing, memory is over the bound, or
// something is left over; the delays are figures of the machine.
func TestHealthyClientsWhileAServerElsewhereIsAttacked(t *testing.T) {
	if os.Getenv("HOSTILE_SERVER") == "" {
		t.Skip("HOSTILE_SERVER is not set: see scripts/hostile")
	}
	var rows []string
	for _, a := range append(slices.Clone(assaults), assault{name: everything}) {
		t.Run(a.name, func(t *testing.T) { rows = append(rows, underAssault(t, a.name)) })
	}
	fmt.Printf("\nDelays are p50 / p99 in ms; the bound of memory is %d MiB.\n\n%s%s\n", bound(stated)>>20, header, strings.Join(rows, "\n"))
}

const header = `| attack | WebSocket, quiet | attacked | p99 × | long-polling, quiet | attacked | p99 × | server's CPU | most memory, MiB | sessions, descriptors, goroutines before | after |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`

// underAssault gives a row of the table.
func underAssault(t *testing.T, name string) string {
	s := serveElsewhere(t)
	c := accompany(s)
	time.Sleep(time.Second) // what happens only once is over
	c.delays()
	time.Sleep(measured() / 2)
	quiet, before, begin := c.delays(), s.use(), s.cpu()
	var under [2][]time.Duration
	s.attacked(name, func() {
		time.Sleep(measured())
		under = c.delays()
	})
	busy := float64(s.cpu()-begin) / float64(measured())
	c.await(1)
	var after usage
	assert.Eventually(t, func() bool {
		after = s.use()
		return after.within(before) && after.files <= before.files
	}, time.Minute, 100*time.Millisecond, "something is left")
	c.check()
	peak := s.peak()
	assert.LessOrEqual(t, peak, bound(stated))
	row := "| " + name
	for i := range quiet {
		times := float64(percentile(under[i], 99)) / float64(max(percentile(quiet[i], 99), 1))
		row += fmt.Sprintf(" | %s | %s | %.1f", percentiles(quiet[i]), percentiles(under[i]), times)
	}
	row += fmt.Sprintf(" | %.0f%% | %d | %d, %d, %d | %d, %d, %d |", 100*busy, peak>>20,
		before.sessions, before.files, before.goroutines, after.sessions, after.files, after.goroutines)
	t.Log(row)
	return row
}

// percentile is the delay that 100-n of a hundred exceed.
func percentile(all []time.Duration, n int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[(len(all)*n-1)/100]
}

func percentiles(all []time.Duration) string {
	ms := func(n int) float64 { return float64(percentile(all, n)) / float64(time.Millisecond) }
	return fmt.Sprintf("%.2f / %.2f", ms(50), ms(99))
}

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

func (c *company) await(n int64) { c.each(func(h *healthy) { h.await(n) }) }

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
