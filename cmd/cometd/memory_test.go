package main

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

const sized = 64 << 20

func TestAQuietServerGivesItsFreeMemoryBack(t *testing.T) {
	keep(t, make([]byte, sized))
	runtime.GC() // as after a burst: free for the heap, but not the system's
	before := lookAtHeap()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go giveBack(ctx)
		time.Sleep(2 * looks)
		synctest.Wait()
	})
	assert.Less(t, lookAtHeap().total, before.total-sized/2)
}

func TestAServerIsQuietThatAllocatesLessThanItUses(t *testing.T) {
	now := heap{allocated: 500, live: 100, objects: 150, free: 200, total: 400}
	assert.True(t, now.quietSince(heap{allocated: 497}))
	assert.False(t, now.quietSince(heap{allocated: 496}))
	assert.EqualValues(t, 250, now.spare())
	assert.EqualValues(t, 200, heap{live: 100, objects: 50, free: 200}.spare(), "what was live may be gone already")
}

// keep has b in use until it returns, so that it is the heap's.
func keep(t *testing.T, b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	assert.NotEmpty(t, b)
}
