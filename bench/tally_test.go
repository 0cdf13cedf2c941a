package bench

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A tally counts deliveries, and lets a publisher keep few of them under way. A
// delivery that does not come fails the benchmark.
type tally struct {
	b *testing.B

	mu    sync.Mutex
	more  *sync.Cond
	heard int
	wrong error
}

// newTally makes a tally that is watched until b ends.
func newTally(b *testing.B) *tally {
	t := &tally{b: b}
	t.more = sync.NewCond(&t.mu)
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { t.watch(ctx) })
	b.Cleanup(func() {
		cancel()
		watching.Wait()
	})
	return t
}

// watch fails when for too long nothing has been heard. It is no timer of each
// await's, which would be part of what is measured.
func (t *tally) watch(ctx context.Context) {
	const patience = 30 * time.Second
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for last := -1; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		t.mu.Lock()
		heard := t.heard
		t.mu.Unlock()
		if heard == last {
			t.fail(fmt.Errorf("nothing has been heard for %v", patience))
		}
		last = heard
	}
}

func (t *tally) add(n int) {
	t.mu.Lock()
	t.heard += n
	t.mu.Unlock()
	t.more.Broadcast()
}

// fail ends the benchmark at its next await.
func (t *tally) fail(err error) {
	t.mu.Lock()
	if t.wrong == nil {
		t.wrong = err
	}
	t.mu.Unlock()
	t.more.Broadcast()
}

// await waits until n have been heard in all.
func (t *tally) await(n int) {
	t.mu.Lock()
	for t.heard < n && t.wrong == nil {
		t.more.Wait()
	}
	err := t.wrong
	t.mu.Unlock()
	require.NoError(t.b, err)
}
