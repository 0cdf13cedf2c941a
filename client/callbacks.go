package client

import "github.com/gocometd/cometd/internal/lock"

// callbacks runs the functions that users gave, in order, on a goroutine that
// exists only while there are some: user code never runs on a reader.
type callbacks struct {
	start func(func()) bool

	mu      lock.Mutex[lock.Callbacks]
	waiting []func()
	running bool
}

func (q *callbacks) add(f func()) {
	q.mu.Lock()
	q.waiting = append(q.waiting, f)
	if !q.running {
		q.running = q.start(q.run)
	}
	late := !q.running
	q.mu.Unlock()
	if late {
		q.run() // the client has ended: here and now
	}
}

func (q *callbacks) run() {
	for {
		q.mu.Lock()
		fs := q.waiting
		q.waiting = nil
		if len(fs) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		lock.None()
		for _, f := range fs {
			f()
		}
	}
}
