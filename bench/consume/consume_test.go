//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T) (*server.Server, string) {
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	web := httptest.NewServer(srv)
	t.Cleanup(func() {
		srv.Close()
		web.Close()
	})
	return srv, "ws://" + web.Listener.Addr().String() + "/cometd"
}

func short(url, work string) settings {
	return settings{url: url, work: work, window: 32, warm: 10 * time.Millisecond, dur: 200 * time.Millisecond}
}

func TestPublishesAreCountedWhenAcknowledged(t *testing.T) {
	_, url := serve(t)
	r, err := run(short(url, "publish"))
	require.NoError(t, err)
	assert.Positive(t, r["messages"])
	assert.EqualValues(t, 0, r["reconnects"])
}

// Events are counted, as text and decoded, and their numbers begin again.
func TestEventsAreCountedAndChecked(t *testing.T) {
	for _, work := range []string{"receive", "decode"} {
		t.Run(work, func(t *testing.T) {
			srv, url := serve(t)
			var publishing sync.WaitGroup
			publishing.Go(func() { number16(t.Context(), srv) })
			t.Cleanup(publishing.Wait)
			r, err := run(short(url, work))
			require.NoError(t, err)
			assert.Positive(t, r["messages"])
			assert.EqualValues(t, 0, r["loss"])
			assert.EqualValues(t, 0, r["disorder"])
		})
	}
}

// number16 publishes events as hubs -blast does, once there is a subscriber, with
// numbers up to 15.
func number16(ctx context.Context, srv *server.Server) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if srv.SubscriberCount("/bench/0") > 0 {
			_ = srv.Publish(ctx, "/bench/0", fmt.Appendf(nil, `{"n":"%010d","of":"%010d","text":"x"}`, n%16, 16)) // or it is closed
			n++
		}
	}
}

// What is missing is a loss, also at the end of the numbers, and what comes
// again is disorder.
func TestWhatIsMissingIsSeen(t *testing.T) {
	for _, c := range []struct {
		numbers        []int
		lost, disorder int64
	}{
		{numbers: []int{0, 1, 2, 3, 0, 1}},
		{numbers: []int{0, 2, 3, 0}, lost: 1},
		{numbers: []int{0, 1, 2, 0}, lost: 1},
		{numbers: []int{0, 1, 1, 2}, disorder: 1},
	} {
		var r receive
		for _, n := range c.numbers {
			require.NoError(t, r.check(fmt.Sprintf("%010d", n), "0000000004"))
		}
		lost, disorder := r.faults()
		assert.Equal(t, c.lost, lost, c.numbers)
		assert.Equal(t, c.disorder, disorder, c.numbers)
		assert.EqualValues(t, len(c.numbers), r.count())
	}
}

func TestAWrongWorkIsRefused(t *testing.T) {
	_, url := serve(t)
	_, err := run(short(url, "rest"))
	assert.ErrorContains(t, err, `-work is "rest"`)
}
