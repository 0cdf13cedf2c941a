package hub

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// events are numbers; those that were missed are told as their negated count.
func events(most int) *Hub[int] {
	h := new(Hub[int])
	h.Init(most, func(n int) int { return -n })
	return h
}

func collect(h *Hub[int], r *Receiver[int]) (got []int) {
	h.End()
	for e := range r.Events(context.Background()) {
		got = append(got, e)
	}
	return got
}

func TestAReceiverGetsWhatItWantsInOrder(t *testing.T) {
	h := events(0)
	h.Tell(1)
	assert.False(t, h.Heard())
	even := h.Join(func(e int) bool { return e%2 == 0 })
	assert.True(t, h.Heard())
	assert.False(t, h.Listening(), "nobody wants everything")
	for e := range 2000 {
		h.Tell(e)
	}
	got := collect(h, even)
	assert.Len(t, got, 1000)
	assert.Equal(t, []int{0, 2, 4}, got[:3])
}

func TestAFullReceiverMissesTheOldestAndIsTold(t *testing.T) {
	h := events(3)
	slow := h.Join(nil)
	for e := range 10 {
		h.Tell(e)
	}
	assert.Equal(t, []int{-7, 7, 8, 9}, collect(h, slow))
}

func TestALoopEndsAtOnceWithItsContextAndLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := events(3)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		unused := h.Events(ctx)
		var got []int
		seen := h.Events(ctx)
		h.Tell(1)
		h.Tell(2)
		for e := range seen {
			got = append(got, e)
			cancel()
		}
		assert.Equal(t, []int{1}, got)
		synctest.Wait()
		assert.False(t, h.Listening(), "nor does the one that nobody ranged over")
		for range unused {
			assert.Fail(t, "its context has ended")
		}
	})
}

func TestALoopThatBreaksLeaves(t *testing.T) {
	h := events(3)
	seen := h.Events(t.Context())
	assert.True(t, h.Listening())
	h.Tell(1)
	for range seen {
		break
	}
	assert.False(t, h.Listening())
}

func TestASecondLoopOverTheSameEventsEnds(t *testing.T) {
	h := events(3)
	seen := h.Events(t.Context())
	h.Tell(1)
	for range seen {
		break
	}
	h.Tell(2)
	for range seen {
		assert.Fail(t, "it has left")
	}
}

func TestWhoJoinsAfterTheEndGetsNothing(t *testing.T) {
	h := events(3)
	h.End()
	h.Tell(1)
	for range h.Events(t.Context()) {
		assert.Fail(t, "it is over")
	}
}
