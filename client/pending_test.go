package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPendingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		d.set(errRefused)
		c := start(t, dialers(d), WithLimits(Limits{Pending: 3}))
		for range 3 {
			require.NoError(t, c.PublishFunc("/a", 1, nil))
		}
		require.ErrorIs(t, c.PublishFunc("/a", 1, nil), ErrBusy)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, c.Publish(ctx, "/a", 1), context.DeadlineExceeded)
		d.set(nil)
		require.NoError(t, c.Publish(t.Context(), "/a", 1))
		assert.Len(t, f.received("/a"), 4)
	})
}

// Two batches that together want more than Limits.Pending must not wait for
// each other.
func TestLargeBatchesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, streams)), WithLimits(Limits{Pending: 10}))
		errs := make(chan error, 4)
		for range 4 {
			go func() {
				for range 50 {
					b := c.Batch()
					for i := range 8 {
						b.Publish("/a", i)
					}
					if err := b.Send(t.Context()); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range 4 {
			assert.NoError(t, <-errs)
		}
	})
}

// The outcomes that wait behind a callback are of requests that are over: they hold
// no place that it needs.
func TestACallbackMayPublishWhateverWaitsBehindIt(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d), WithLimits(Limits{Pending: 3}))
			require.NoError(t, c.Wait(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			goOn, outcome := make(chan struct{}), make(chan error, 1)
			require.NoError(t, c.PublishFunc("/a", 0, func(error) {
				<-goOn
				outcome <- c.Publish(ctx, "/b", 1)
			}))
			synctest.Wait()
			var err error
			behind := 0
			for err == nil {
				if err = c.PublishFunc("/a", behind, func(error) {}); err == nil {
					behind++
				}
				synctest.Wait()
			}
			require.ErrorIs(t, err, ErrBusy)
			assert.Equal(t, 3, behind, "nor is there more than Limits.Pending of outcomes")
			assert.NoError(t, c.PublishFunc("/a", 0, nil), "whose outcome nobody hears waits for nobody's")
			close(goOn)
			assert.NoError(t, <-outcome)
			synctest.Wait()
			assert.NoError(t, c.PublishFunc("/a", 0, nil))
		})
	})
}

func TestWhatPublishFuncRefusesTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := board(newFake(), streams)
		d.set(errRefused)
		c := start(t, dialers(d), WithLimits(Limits{Pending: 1}))
		published := make(chan error, 1)
		go func() { published <- c.Publish(t.Context(), "/a", 1) }()
		synctest.Wait()
		for range 3 {
			require.ErrorIs(t, c.PublishFunc("/a", 1, nil), ErrBusy)
		}
		d.set(nil)
		require.NoError(t, <-published)
		require.NoError(t, c.PublishFunc("/a", 1, nil))
	})
}
