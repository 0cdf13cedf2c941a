//go:build lockcheck

package lock_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/internal/lock"
)

func TestLocksAreTakenFromTheOutermostToTheInnermost(t *testing.T) {
	var outer lock.Mutex[lock.Registry]
	var inner lock.Mutex[lock.Session]
	var other lock.Mutex[lock.Session]
	outer.Lock()
	inner.Lock()
	assert.PanicsWithValue(t, "lock: lock.Session is taken while lock.Session is held", other.Lock)
	outer.Unlock() // in any order
	assert.PanicsWithValue(t, "lock: lock.Registry is taken while lock.Session is held", outer.Lock)
	inner.Unlock()
	assert.NotPanics(t, func() { outer.Lock(); defer outer.Unlock() })
	assert.PanicsWithValue(t, "lock: lock.Registry is released by a goroutine that does not hold it", outer.Unlock)
}

func TestReadersAreInTheOrderToo(t *testing.T) {
	var outer lock.RWMutex[lock.Registry]
	var inner lock.RWMutex[lock.Session]
	inner.RLock()
	assert.Panics(t, outer.RLock)
	assert.Panics(t, inner.RLock, "a writer that waits between them would stop both")
	inner.RUnlock()
	outer.Lock()
	assert.NotPanics(t, func() { inner.RLock(); defer inner.RUnlock() })
	outer.Unlock()
}

func TestWhoDoesNotWaitNeedsNoOrder(t *testing.T) {
	var outer lock.Mutex[lock.Registry]
	var inner lock.Mutex[lock.Session]
	inner.Lock()
	assert.True(t, outer.TryLock())
	assert.Panics(t, lock.None)
	outer.Unlock()
	inner.Unlock()
	lock.None()
}

func TestNothingIsHeldWhereNothingMayBe(t *testing.T) {
	var mu lock.Mutex[lock.Session]
	var turn lock.Turn[lock.Processing]
	turn.Lock()
	lock.None()
	mu.Lock()
	assert.PanicsWithValue(t, "lock: [lock.Session] is held where nothing may be", lock.None)
	done := make(chan struct{})
	go func() { defer close(done); lock.None() }() // each goroutine for itself
	<-done
	mu.Unlock()
	lock.None()
	turn.Unlock()
}

func TestTurnsAreTakenBeforeLocksAndInTheirOrder(t *testing.T) {
	var mu lock.Mutex[lock.Registry]
	var outer lock.Turn[lock.Processing]
	var inner lock.Turn[lock.Delivering]
	mu.Lock()
	assert.PanicsWithValue(t, "lock: lock.Processing is taken while lock.Registry is held", outer.Lock)
	mu.Unlock()
	inner.Lock()
	assert.PanicsWithValue(t, "lock: lock.Processing is taken while lock.Delivering is held", outer.Lock)
	assert.True(t, outer.TryLock(), "who does not wait needs no order")
	outer.Unlock()
	inner.Unlock()
	outer.Lock()
	assert.NotPanics(t, func() { inner.Lock(); defer inner.Unlock(); mu.Lock(); defer mu.Unlock() })
	outer.Unlock()
}

func TestAConditionReleasesWhileItWaits(t *testing.T) {
	var mu lock.Mutex[lock.Session]
	cond := sync.NewCond(&mu)
	there := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		mu.Lock()
		defer mu.Unlock()
		for !there {
			cond.Wait()
		}
	}()
	mu.Lock()
	there = true
	cond.Broadcast()
	mu.Unlock()
	<-done
}
