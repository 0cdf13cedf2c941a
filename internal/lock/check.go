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
	g := wait(ranked[R]())
	m.mu.Lock()
	g.hold(ranked[R]())
}

func (m *Mutex[R]) TryLock() bool {
	ok := m.mu.TryLock() // who does not wait needs no order
	if ok {
		current().hold(ranked[R]())
	}
	return ok
}

func (m *Mutex[R]) Unlock() {
	release(ranked[R]())
	m.mu.Unlock()
}

type RWMutex[R Rank] struct{ mu sync.RWMutex }

func (m *RWMutex[R]) Lock() {
	g := wait(ranked[R]())
	m.mu.Lock()
	g.hold(ranked[R]())
}

func (m *RWMutex[R]) Unlock() {
	release(ranked[R]())
	m.mu.Unlock()
}

func (m *RWMutex[R]) RLock() {
	g := wait(ranked[R]())
	m.mu.RLock()
	g.hold(ranked[R]())
}

func (m *RWMutex[R]) RUnlock() {
	release(ranked[R]())
	m.mu.RUnlock()
}

type Turn[R Long] struct{ mu sync.Mutex }

func (t *Turn[R]) Lock() {
	g := wait(long[R]())
	t.mu.Lock()
	g.hold(long[R]())
}

func (t *Turn[R]) TryLock() bool {
	ok := t.mu.TryLock()
	if ok {
		current().hold(long[R]())
	}
	return ok
}

func (t *Turn[R]) Unlock() {
	release(long[R]())
	t.mu.Unlock()
}

func None() {
	if held := current().locks(); len(held) > 0 {
		panic(fmt.Sprintf("lock: %s is held where nothing may be", held))
	}
}

// A place is that of a lock in the order: turns come first.
type place struct {
	of   string
	turn bool
	at   int
}

func ranked[R Rank]() place {
	var r R
	return place{of: fmt.Sprintf("%T", r), at: r.rank()}
}

func long[R Long]() place {
	var r R
	return place{of: fmt.Sprintf("%T", r), turn: true, at: r.turn()}
}

func (p place) before(q place) bool {
	if p.turn != q.turn {
		return p.turn
	}
	return p.at < q.at
}

// A goroutine that holds something.
type goroutine struct {
	number uint64
	holds  []place
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

// wait panics if what has place p must not be taken now.
func wait(p place) *goroutine {
	g := current()
	for _, h := range g.holds {
		if !h.before(p) {
			panic(fmt.Sprintf("lock: %s is taken while %s is held", p.of, h.of))
		}
	}
	return g
}

func (g *goroutine) hold(p place) {
	if g.holds = append(g.holds, p); len(g.holds) == 1 {
		all.Store(g.number, g)
	}
}

func release(p place) {
	g := current()
	i := slices.Index(g.holds, p)
	if i < 0 {
		panic(fmt.Sprintf("lock: %s is released by a goroutine that does not hold it", p.of))
	}
	if g.holds = slices.Delete(g.holds, i, i+1); len(g.holds) == 0 {
		all.Delete(g.number)
	}
}

// locks are those held that are no turns.
func (g *goroutine) locks() (held []string) {
	for _, p := range g.holds {
		if !p.turn {
			held = append(held, p.of)
		}
	}
	return held
}
