package client

import "github.com/gocometd/cometd/internal/lock"

// callbacks runs the functions that users gave, in order, on a goroutine that
// exists only while there are some: user code never runs on a reader.
type callbacks struct {
	start func(func()) bool
	most  int // that are due or under way, the one that runs apart; 0 or less: no bound

	mu      lock.Mutex[lock.Callbacks]
	due     int // announced, and not begun
	waiting []func()
	running bool
}

// announce makes room for one function to come, if there is some. The bound is one of
// its own: a function that waits for a request of the client's must not wait for those
// that stand behind itself.
func (q *callbacks) announce() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.most > 0 && q.due >= q.most {
		return false
	}
	q.due++
	return true
}

// renounce takes an announcement back: the function does not come.
func (q *callbacks) renounce() {
	q.mu.Lock()
	q.due--
	q.mu.Unlock()
}

// add brings a function that was announced.
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
			q.renounce() // it is no more to come
			f()
		}
	}
}
