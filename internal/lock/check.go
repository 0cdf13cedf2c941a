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
	g := wait(r)
	m.mu.Lock()
	g.hold(r)
}

func (m *Mutex[R]) TryLock() bool {
	ok := m.mu.TryLock() // who does not wait needs no order
	if ok {
		var r R
		current().hold(r)
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
	g := wait(r)
	m.mu.Lock()
	g.hold(r)
}

func (m *RWMutex[R]) Unlock() {
	var r R
	release(r)
	m.mu.Unlock()
}

func (m *RWMutex[R]) RLock() {
	var r R
	g := wait(r)
	m.mu.RLock()
	g.hold(r)
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
	if g := current(); len(g.holds) > 0 {
		panic(fmt.Sprintf("lock: %s is held where nothing may be", names(g.holds)))
	}
}

// A goroutine that holds something.
type goroutine struct {
	number uint64
	holds  []Rank
}

// all has those that hold something, by number. Each is touched by itself alone.
var all sync.Map

// current is who calls. Its number is at the top of its stack, and nowhere else.
func current() *goroutine {
	var b [40]byte
	text := bytes.TrimPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	text, _, _ = bytes.Cut(text, []byte(" "))
	n, _ := strconv.ParseUint(string(text), 10, 64)
	if g, ok := all.Load(n); ok {
		return g.(*goroutine)
	}
	return &goroutine{number: n}
}

// wait panics if r must not be taken now.
func wait(r Rank) *goroutine {
	g := current()
	for _, h := range g.holds {
		if h.rank() >= r.rank() {
			panic(fmt.Sprintf("lock: %T is taken while %T is held", r, h))
		}
	}
	return g
}

func (g *goroutine) hold(r Rank) {
	if g.holds = append(g.holds, r); len(g.holds) == 1 {
		all.Store(g.number, g)
	}
}

func release(r Rank) {
	g := current()
	i := slices.Index(g.holds, r)
	if i < 0 {
		panic(fmt.Sprintf("lock: %T is released by a goroutine that does not hold it", r))
	}
	if g.holds = slices.Delete(g.holds, i, i+1); len(g.holds) == 0 {
		all.Delete(g.number)
	}
}

func names(ranks []Rank) (n []string) {
	for _, r := range ranks {
		n = append(n, fmt.Sprintf("%T", r))
	}
	return n
}
