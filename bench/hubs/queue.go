package main

import (
	"encoding/binary"
	"sync"
)

// queued is a subscriber with a goroutine of its own, which sends one message
// after the other.
type queued struct{ messages chan message }

func newQueued(s subscriber) *queued {
	q := &queued{make(chan message, 256)}
	go func() {
		for m := range q.messages {
			if m.frame == nil {
				return
			}
			s.send(m)
		}
	}()
	return q
}

func (q *queued) send(m message) { q.messages <- m }

// end makes the goroutine return. A publisher may still send, so nothing is
// closed.
func (q *queued) end() { q.send(message{}) }

// gathered is a subscriber with a goroutine of its own, which sends all that has
// gathered since the last time as one array: what a session with a queue would
// do.
type gathered struct {
	s     subscriber
	woken chan struct{}

	mu      sync.Mutex
	pending []message
}

func newGathered(s subscriber) *gathered {
	g := &gathered{s: s, woken: make(chan struct{}, 1)}
	go g.run()
	return g
}

func (g *gathered) run() {
	var taken []message
	for range g.woken {
		g.mu.Lock()
		taken, g.pending = g.pending, taken[:0]
		g.mu.Unlock()
		switch {
		case len(taken) == 0:
		case taken[len(taken)-1].frame == nil:
			return
		case len(taken) == 1:
			g.s.send(taken[0])
		default:
			sendArray(g.s, taken)
		}
		clear(taken)
	}
}

func (g *gathered) send(m message) {
	g.mu.Lock()
	g.pending = append(g.pending, m)
	first := len(g.pending) == 1
	g.mu.Unlock()
	if !first {
		return
	}
	select {
	case g.woken <- struct{}{}:
	default:
	}
}

// end makes the goroutine return.
func (g *gathered) end() { g.send(message{}) }

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// sendArray joins arrays of one message to one of them all, with room for a
// frame's head in front, so that raw needs no copy.
func sendArray(s subscriber, messages []message) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	const head = 4
	b := append((*buf)[:0], 0x81, 126, 0, 0, '[')
	for i, m := range messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, m.payload[1:len(m.payload)-1]...)
	}
	b = append(b, ']')
	*buf = b
	if len(b)-head >= 1<<16 {
		s.send(message{b[head:], appendFrame(nil, b[head:])})
		return
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-head))
	s.send(message{b[head:], b})
}
