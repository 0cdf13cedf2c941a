package client

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFullQueueDoesWhatItsOverflowSays(t *testing.T) {
	type gotten struct {
		data []string
		gaps int
		lost int
	}
	run := func(t *testing.T, o Overflow, places int) (g gotten, dropped uint64) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			c, ctx := start(t, dialers(board(f, streams))), t.Context()
			s, err := c.Subscribe(ctx, "/q/*", WithQueue(places, o), WithOnGap(func(gap Gap) {
				g.gaps++
				g.lost += gap.Dropped
				g.data = append(g.data, "gap")
			}))
			require.NoError(t, err)
			for i := range 10 {
				f.publish(fmt.Sprintf("/q/%d", i%3), fmt.Sprint(i))
			}
			time.Sleep(time.Second)
			want := s.queue.len()
			for m := range s.Messages(ctx) {
				g.data = append(g.data, string(m.Data))
				if want--; want == 0 {
					break
				}
			}
			dropped = c.Stats().Dropped
		})
		return g, dropped
	}
	g, dropped := run(t, DropOldest, 4)
	assert.Equal(t, gotten{[]string{"gap", "6", "7", "8", "9"}, 1, 6}, g)
	assert.EqualValues(t, 6, dropped)
	g, dropped = run(t, KeepLatest, 4)
	assert.Equal(t, gotten{[]string{"9", "7", "8"}, 0, 0}, g)
	assert.EqualValues(t, 7, dropped)
	g, dropped = run(t, KeepLatest, 2)
	assert.Equal(t, gotten{[]string{"gap", "8", "9"}, 1, 8}, g, "a channel lost its newest")
	assert.EqualValues(t, 8, dropped)
}

// All queues together have a bound in bytes, whatever their numbers.
func TestQueuesAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, streams)), WithLimits(Limits{QueueBytes: 100 << 10}))
		ctx := t.Context()
		s, err := c.Subscribe(ctx, "/a", WithQueue(1<<20, Pause))
		require.NoError(t, err)
		go func() {
			for range 1000 {
				f.publish("/a", `"`+strings.Repeat("x", 500)+`"`)
			}
		}()
		time.Sleep(time.Second)
		assert.LessOrEqual(t, c.Stats().WaitingBytes, 100<<10)
		assert.True(t, c.flow.paused())
		assert.Len(t, take(ctx, s, 1000), 1000)
		assert.Zero(t, c.Stats().WaitingBytes)
	})
}

func TestFormsOfConsuming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, ctx := start(t, dialers(board(f, streams))), t.Context()
		s, err := c.Subscribe(ctx, "/a")
		require.NoError(t, err)
		for i := range 12 {
			f.publish("/a", fmt.Sprint(i))
		}
		f.publish("/a", `"twelve"`)
		time.Sleep(time.Second)
		for batch := range s.Batches(ctx, 5) {
			assert.Len(t, batch, 5)
			break
		}
		chanCtx, cancel := context.WithCancel(ctx)
		ch := s.Chan(chanCtx)
		assert.Equal(t, "5", string((<-ch).Data))
		assert.Equal(t, "6", string((<-ch).Data))
		synctest.Wait() // until it offers the next, which stays when ctx ends
		cancel()
		synctest.Wait()
		_, open := <-ch
		assert.False(t, open)
		var got []int
		var last error
		for v, err := range Values[int](ctx, s) {
			if err == nil {
				got = append(got, v)
			} else if s.Err() == nil {
				assert.ErrorContains(t, err, "string")
				s.fail(errRefused, true)
			} else {
				last = err
			}
		}
		assert.Equal(t, []int{7, 8, 9, 10, 11}, got)
		assert.Equal(t, errRefused, last, "why it ended")
	})
}

// What nobody takes out of a subscription that has ended is nobody's burden.
func TestAnEndedSubscriptionWeighsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, streams)))
		ended, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		for range 10 {
			f.publish("/a", "1")
		}
		synctest.Wait()
		require.NotZero(t, c.Stats().WaitingBytes)
		ended.fail(ErrLost, true)
		assert.Zero(t, c.Stats().WaitingBytes)
		assert.Len(t, take(t.Context(), ended, 10), 10, "it can still be read to its end")
		assert.Zero(t, c.Stats().WaitingBytes)
	})
}
