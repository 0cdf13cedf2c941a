package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// After a thousand faults of all kinds, at all steps, in any order, the client
// is where it was: connected, subscribed, and no faster at shaking hands than
// its backoff allows.
func TestAThousandFaults(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		seed := rand.Uint64()
		rnd := rand.New(rand.NewPCG(seed, 0))
		synctest.Test(t, func(t *testing.T) {
			s := &saboteur{f: f, net: d, outage: outage}
			f.first = s.first
			c := start(t, dialers(d))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var got, published atomic.Int64
			_, err := c.SubscribeFunc(ctx, "/a", func(context.Context, *bayeux.Message) error { got.Add(1); return nil })
			require.NoError(t, err)
			var wg sync.WaitGroup
			traffic := func(every time.Duration, act func()) {
				wg.Go(func() {
					for ctx.Err() == nil {
						act()
						select {
						case <-time.After(every):
						case <-ctx.Done():
						}
					}
				})
			}
			traffic(200*time.Millisecond, func() {
				if !s.deliver("/a", "1") {
					f.publish("/a", "1")
				}
			})
			traffic(300*time.Millisecond, func() {
				if c.Publish(ctx, "/publish", 1) == nil {
					published.Add(1)
				}
			})
			for range 1000 {
				s.set(steps[rnd.IntN(len(steps))], faults[rnd.IntN(len(faults))])
				if rnd.IntN(10) == 0 {
					f.forget()
				}
				time.Sleep(time.Duration(rnd.IntN(int(8 * time.Second))))
			}
			s.set("", "")
			s.disarm()
			time.Sleep(2 * time.Minute)
			before, pubs := got.Load(), published.Load()
			time.Sleep(10 * time.Second)
			assert.GreaterOrEqual(t, got.Load()-before, int64(49), "seed %d: deliveries have stopped", seed)
			assert.GreaterOrEqual(t, published.Load()-pubs, int64(30), "seed %d: publishes have stopped", seed)
			assert.Equal(t, bayeux.Connected, c.State(), "seed %d", seed)
			assert.Less(t, f.count(bayeux.MetaHandshake), 2000)
			cancel()
			wg.Wait()
			time.Sleep(time.Minute) // the slow ones end
		})
		t.Log(fmt.Sprint("seed ", seed))
	})
}
