package client

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
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

// newQueue makes a queue that keeps the latest of each channel, and what puts so many
// bytes on a channel.
func newQueue(maxBytes int64) (q *queue, put func(ch string, n int) (dropped []entry)) {
	q = &queue{most: 1024, overflow: KeepLatest, bytes: new(atomic.Int64), maxBytes: maxBytes, taken: make(chan struct{}, 1), gone: make(chan struct{}), latest: map[string]int{}}
	return q, func(ch string, n int) (dropped []entry) {
		m := &bayeux.Message{Channel: ch, Data: make([]byte, n)}
		_, dropped = q.offer(entry{m: m, bytes: weight(m)}, patient)
		return dropped
	}
}

// A message that takes the place of a smaller one is no way around the bound.
func TestMessagesThatReplaceOthersKeepTheBoundInBytes(t *testing.T) {
	q, put := newQueue(1 << 20)
	for i := range 100 {
		put(fmt.Sprint("/a/", i), 1)
	}
	dropped := 0
	for i := range 100 {
		dropped += len(put(fmt.Sprint("/a/", i), 1<<19))
	}
	assert.LessOrEqual(t, q.bytes.Load(), q.maxBytes)
	assert.Equal(t, 200, dropped+q.len(), "each is somewhere")
	assert.Equal(t, "/a/99", q.at(q.first+q.n-1).m.Channel)
	assert.NotNil(t, q.gap)
}

// What was taken and not handed over is the latest no more, if another has come.
func TestOnlyTheLatestOfAChannelWaitsAlsoBehindWhatWasPutBack(t *testing.T) {
	q, put := newQueue(1 << 20)
	put("/a", 1)
	e, _, _ := q.take()
	assert.False(t, q.untake(e))
	assert.Len(t, put("/a", 2), 1)
	assert.Empty(t, put("/b", 2))
	e, _, _ = q.take()
	assert.Equal(t, "/a", e.m.Channel)
	assert.Empty(t, put("/a", 3))
	assert.True(t, q.untake(e))
	assert.Equal(t, 2, q.len())
	for _, want := range []string{"/b", "/a"} {
		e, ok, _ := q.take()
		assert.True(t, ok)
		assert.Equal(t, want, e.m.Channel)
	}
	assert.Zero(t, q.bytes.Load())
}

// A gap stands between the messages before and those after, also where the one before
// was taken and put back.
func TestAGapStaysBehindWhatIsPutBack(t *testing.T) {
	q := &queue{most: 1, overflow: DropOldest, bytes: new(atomic.Int64), maxBytes: 1 << 20, taken: make(chan struct{}, 1), gone: make(chan struct{})}
	put := func(id string) { q.offer(entry{m: &bayeux.Message{Channel: "/a", ID: id}}, patient) }
	put("1")
	e, _, _ := q.take()
	put("2")
	put("3")
	q.untake(e)
	var got []string
	for e, ok, _ := q.take(); ok; e, ok, _ = q.take() {
		if e.gap != nil {
			got = append(got, fmt.Sprint("gap of ", e.gap.Dropped))
		} else {
			got = append(got, e.m.ID)
		}
	}
	assert.Equal(t, []string{"1", "gap of 1", "3"}, got)
}
