//go:build !lockcheck

package lock

import "sync"

// A Mutex is a sync.Mutex at the place of R.
type Mutex[R Rank] struct{ sync.Mutex }

// An RWMutex is a sync.RWMutex at the place of R. To read is to hold it like
// any other: a goroutine reads it once at a time.
type RWMutex[R Rank] struct{ sync.RWMutex }

// A Turn is a sync.Mutex that is held for long: while user code runs, or a
// network or a disk is waited for. Who takes one holds nothing but turns that
// stand before it.
type Turn[R Long] struct{ sync.Mutex }

// None panics, in a build with lockcheck, if the goroutine holds a [Mutex] or an
// [RWMutex]. It stands before user code is called and before anything is sent.
func None() {}
