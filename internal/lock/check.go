//go:build lockcheck

package lock

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
)

type Mutex[R Rank] struct{ mu sync.Mutex }

func (m *Mutex[R]) Lock() {
	var r R
	wait(r)
	m.mu.Lock()
	hold(r)
}

func (m *Mutex[R]) TryLock() bool {
	ok := m.mu.TryLock() // who does not wait needs no order
	if ok {
		var r R
		hold(r)
	}
	return ok
}

func (m *Mutex[R]) Unlock() {
	var r R
	release(r)
	m.mu.Unlock()
}

type RWMutex[R Rank] struct{ mu sync.RWMutex }

func (m *RWMutex[R]) Lock() {
	var r R
	wait(r)
	m.mu.Lock()
	hold(r)
}

func (m *RWMutex[R]) Unlock() {
	var r R
	release(r)
	m.mu.Unlock()
}

func (m *RWMutex[R]) RLock() {
	var r R
	wait(r)
	m.mu.RLock()
	hold(r)
}

func (m *RWMutex[R]) RUnlock() {
	var r R
	release(r)
	m.mu.RUnlock()
}

type Turn struct{ mu sync.Mutex }

func (t *Turn) Lock()         { None(); t.mu.Lock() }
func (t *Turn) TryLock() bool { return t.mu.TryLock() }
func (t *Turn) Unlock()       { t.mu.Unlock() }

func None() {
	if all := holding(); len(all) > 0 {
		panic(fmt.Sprintf("lock: %s is held where nothing may be", names(all)))
	}
}

// held has, for each goroutine that holds something, what it holds: a []Rank.
var held sync.Map

func holding() []Rank {
	all, _ := held.Load(goroutine())
	some, _ := all.([]Rank)
	return some
}

func names(all []Rank) (n []string) {
	for _, r := range all {
		n = append(n, fmt.Sprintf("%T", r))
	}
	return n
}

// wait panics if r must not be taken now.
func wait(r Rank) {
	for _, h := range holding() {
		if h.rank() >= r.rank() {
			panic(fmt.Sprintf("lock: %T is taken while %T is held", r, h))
		}
	}
}

func hold(r Rank) { held.Store(goroutine(), append(slices.Clone(holding()), r)) }

func release(r Rank) {
	all := slices.Clone(holding())
	i := slices.Index(all, r)
	if i < 0 {
		panic(fmt.Sprintf("lock: %T is released by a goroutine that does not hold it", r))
	}
	if all = slices.Delete(all, i, i+1); len(all) == 0 {
		held.Delete(goroutine())
		return
	}
	held.Store(goroutine(), all)
}

// goroutine is the number at the top of every stack.
func goroutine() uint64 {
	var b [40]byte
	text := bytes.TrimPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	text, _, _ = bytes.Cut(text, []byte(" "))
	n, _ := strconv.ParseUint(string(text), 10, 64)
	return n
}
