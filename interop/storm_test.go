//go:build interop

package interop

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/fault"
)

const (
	stormTime    = 3 * time.Minute  // it takes a few seconds; this is for a busy machine
	stormSilence = 30 * time.Second // without a message: it will not come any more
	stormWindow  = 500              // messages that are published and not received
	stormChunk   = 100              // and so many at once
)

// stormMessages is how many messages a storm has; COMETD_MESSAGES is another
// number.
func stormMessages() int {
	if n, err := strconv.Atoi(os.Getenv("COMETD_MESSAGES")); err == nil && n > 0 {
		return n
	}
	return 100_000
}

// A tally counts the numbers that a session receives.
type tally struct {
	came                 []bool
	first                int // of the numbers below it all have come
	repeated, disordered int
	highest              int
}

func (y *tally) note(n int) {
	if y.came[n] {
		y.repeated++
		return
	}
	if n < y.highest {
		y.disordered++
	}
	y.came[n], y.highest = true, max(y.highest, n)
	for y.first < len(y.came) && y.came[y.first] {
		y.first++
	}
}

func (y *tally) lost() (n int) {
	for _, came := range y.came[:y.highest] {
		if !came {
			n++
		}
	}
	return n
}

// storm publishes numbers to a session whose connections are cut at random
// bytes, both ways: none may be lost, none out of order, and with our client
// none may come twice.
func (r *extensionRun) storm(t *testing.T) {
	seed := rand.Uint64()
	cut := fault.Random(seed, r.cutEvery, fault.Cut)
	var conns atomic.Int64
	var raging atomic.Bool
	proxy, err := fault.NewProxy(r.world.addr, func(number int) []fault.Step {
		if !raging.Load() {
			return nil
		}
		conns.Add(1)
		return cut(number)
	})
	require.NoError(t, err)
	defer proxy.Close()
	p := r.open(t, urlOf(proxy.Addr()), with("ack"))
	ctx, cancel := context.WithTimeoutCause(t.Context(), stormTime, errors.New("the storm's time is up"))
	defer cancel()
	require.NoError(t, p.Connect(ctx))
	require.NoError(t, p.Subscribe(ctx, "/storm"))
	before, err := p.State(ctx)
	require.NoError(t, err)
	raging.Store(true)
	proxy.Cut()

	began := time.Now()
	y := &tally{came: make([]bool, stormMessages())}
	err = r.weather(ctx, p, y)
	t.Logf("%d messages in %v through %d connections: lost %d, out of order %d, repeated %d",
		y.first, time.Since(began).Round(time.Millisecond), conns.Load(), y.lost(), y.disordered, y.repeated)
	require.NoError(t, err, "seed %d", seed)
	assert.Zero(t, y.lost(), "lost; seed %d", seed)
	assert.Zero(t, y.disordered, "out of order; seed %d", seed)
	if r.ours {
		assert.Zero(t, y.repeated, "repeated; seed %d", seed)
	}
	assert.Greater(t, conns.Load(), int64(10), "there was no storm")
	after, err := p.State(ctx)
	require.NoError(t, err)
	assert.Equal(t, before.Session, after.Session, "the session was lost")
}

// weather publishes as fast as the session receives.
func (r *extensionRun) weather(ctx context.Context, p peer, y *tally) error {
	for sent := 0; y.first < len(y.came); {
		for sent < len(y.came) && sent < y.first+stormWindow {
			chunk := numbers(sent, min(sent+stormChunk, len(y.came)))
			if err := r.world.publish(ctx, "/storm", chunk...); err != nil {
				return err
			}
			sent += len(chunk)
		}
		m, err := next(ctx, p, stormSilence)
		if err != nil {
			return fmt.Errorf("waiting for %d of %d: %w", y.first, len(y.came), err)
		}
		var n int
		if _, err := fmt.Sscanf(string(m.Data), `"%d `, &n); err != nil || n >= sent {
			return fmt.Errorf("message %s was never sent", m.Data)
		}
		y.note(n)
	}
	return nil
}

func next(ctx context.Context, p peer, patience time.Duration) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.Next(ctx)
}

// numbers are strings that begin with these numbers. What follows does not get
// shorter by compression.
func numbers(from, to int) (all []json.RawMessage) {
	for i := from; i < to; i++ {
		all = append(all, value(fmt.Sprint(i, " ", crand.Text())))
	}
	return all
}
