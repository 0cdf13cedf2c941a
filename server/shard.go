package server

import "github.com/gocometd/cometd/internal/lock"

// A shard writes for the streams that can be written without waiting
// (transport.Starter). Its one goroutine goes round the streams that have
// something: while it writes to one, what waits for the others grows, and
// leaves in fewer frames. What the kernel does not take at once stays with the
// Conn, which gives the stream back when it is through; so nobody waits here
// for anybody.
type shard struct {
	mu    lock.Mutex[lock.Shard]
	dirty []*link // their token is taken
	woken chan struct{}
}

func newShard() *shard { return &shard{woken: make(chan struct{}, 1)} }

// push adds streams whose token its caller has.
func (x *shard) push(links ...*link) {
	x.mu.Lock()
	first := len(x.dirty) == 0
	x.dirty = append(x.dirty, links...)
	x.mu.Unlock()
	if first {
		select {
		case x.woken <- struct{}{}:
		default:
		}
	}
}

// run writes until closing.
func (x *shard) run(closing <-chan struct{}) {
	var round []*link
	for {
		select {
		case <-closing:
			return
		case <-x.woken:
		}
		for {
			x.mu.Lock()
			round, x.dirty = x.dirty, round[:0]
			x.mu.Unlock()
			if len(round) == 0 {
				break
			}
			for i, l := range round {
				round[i] = nil
				if l.start() {
					x.push(l)
				}
			}
		}
	}
}

// start writes one frame of a stream, and reports whether there is more. Its
// caller has the token, and keeps it if there is.
func (l *link) start() (more bool) {
	f := newFrame()
	if !l.next(f) {
		f.free()
		return false
	}
	f.link = l
	if f.filtered(l.srv) && !l.starter.Start(&f.Payload, f.done) {
		return false // done has the token now
	}
	more = l.sent(f, nil)
	f.free()
	return more
}

// finish is called when a Conn is through with what it could not send at once.
func (f *frame) finish(err error) {
	l := f.link
	more := l.sent(f, err)
	f.free()
	switch {
	case err != nil:
		l.fail(err)
	case more:
		l.shard.push(l)
	}
}

// fail ends a stream that could not be written. Its caller has the token.
func (l *link) fail(err error) {
	l.unsent(err)
	l.dirty.Store(false)
}
