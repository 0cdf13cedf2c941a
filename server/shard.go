package server

import (
	"time"

	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/internal/lull"
)

// A shard writes for the streams that can be written without waiting
// (transport.Starter). Its one goroutine goes round the streams that have
// something: while it writes to one, what waits for the others grows, and
// leaves in fewer frames. What the kernel does not take at once stays with the
// Conn, which gives the stream back when it is through; so nobody waits here
// for anybody.
//
// A round over a large audience takes its time. So the shard stops now and then
// for what has arrived meanwhile to be read, and goes on with those first who
// are few. Each stream has one frame in a round at most, so the others wait no
// longer than if all had come at once.
type shard struct {
	bell lull.Bell

	mu     lock.Mutex[lock.Shard]
	rounds uint64
	first  []*link // of small audiences, without a frame in this round yet
	dirty  []*link // the others. The tokens of both are taken
	woken  chan struct{}

	stopped time.Time // when it last did, or began
}

const (
	roundTurn     = time.Millisecond // of a round, before a stop
	checkEvery    = 16               // streams between two looks at the clock
	nearEnd       = 2 * checkEvery   // streams left in a round that no stop comes before
	smallAudience = 64               // streams that do not keep the others waiting for long
)

func newShard() *shard {
	x := &shard{woken: make(chan struct{}, 1), rounds: 1} // a new stream has had no frame in it
	x.bell.Open()
	return x
}

// push adds streams whose token its caller has, some of an audience of so many.
func (x *shard) push(audience int, links ...*link) {
	x.mu.Lock()
	idle := len(x.dirty)+len(x.first) == 0
	if audience > smallAudience {
		x.dirty = append(x.dirty, links...)
	} else {
		for _, l := range links {
			if l.round == x.rounds {
				x.dirty = append(x.dirty, l)
			} else {
				x.first = append(x.first, l)
			}
		}
	}
	x.mu.Unlock()
	if idle {
		select {
		case x.woken <- struct{}{}:
		default:
		}
	}
}

// run writes until closing.
func (x *shard) run(closing <-chan struct{}) {
	defer x.bell.Close()
	var round, first []*link
	for {
		select {
		case <-closing:
			return
		case <-x.woken:
		}
		x.stopped = time.Now()
		for {
			x.mu.Lock()
			x.rounds++
			round, x.dirty = x.dirty, round[:0]
			more := len(round)+len(x.first) > 0
			x.mu.Unlock()
			if !more {
				break
			}
			x.stop()
			first = x.writeFirst(first)
			for i, l := range round {
				if i%checkEvery == checkEvery-1 && len(round)-i > nearEnd {
					x.stop()
					first = x.writeFirst(first)
				}
				x.write(l)
			}
			clear(round)
		}
	}
}

// writeFirst writes for those who go first. in is memory for the next, as what
// is returned is.
func (x *shard) writeFirst(in []*link) []*link {
	x.mu.Lock()
	first := x.first
	x.first = in[:0]
	x.mu.Unlock()
	for i, l := range first {
		if i%checkEvery == checkEvery-1 && len(first)-i > nearEnd {
			x.stop()
		}
		x.write(l)
	}
	clear(first)
	return first
}

func (x *shard) write(l *link) {
	l.round = x.rounds
	if l.start() {
		x.push(1, l)
	}
}

// stop lets others run who can, and the network be looked at, if the last time
// is long ago.
func (x *shard) stop() {
	if time.Since(x.stopped) >= roundTurn {
		x.bell.Wait()
		x.stopped = time.Now()
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
	if f.filter != nil { // the application's code, which may take its time
		l.srv.run(func() { f.finish(l.send(f)) })
		return false
	}
	if !l.starter.Start(&f.Payload, f.done) {
		return false // done has the token now
	}
	more = l.sent(f, nil)
	f.free()
	return more
}

// finish is called, with the token, when what could not be sent at once is through.
func (f *frame) finish(err error) {
	l := f.link
	more := l.sent(f, err)
	f.free()
	switch {
	case err != nil:
		l.fail(err)
	case more:
		l.shard.push(1, l)
	}
}

// fail ends a stream that could not be written. Its caller has the token.
func (l *link) fail(err error) {
	l.unsent(err)
	l.dirty.Store(false)
}
