package server

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/transport"
)

// These models play both ends of the acknowledgement extension, the server's
// Outbox and the client's ack.Receiver, over a network that loses, delays,
// repeats and reorders what it can. The reference queue is the counting of
// events: 0, 1, 2, … must come out, but for those that the outbox had to drop.
//
// A long run, of more than a million steps:
//
//	go test ./server -run Model -rapid.checks=12000 -rapid.steps=100

// A network is what all models have in common.
type network struct {
	out       *Outbox
	receiver  ack.Receiver
	published int
	dropped   map[int]bool
	got       []int
}

func newNetwork(t *rapid.T, a ack.Answer) *network {
	srv, err := New()
	require.NoError(t, err)
	t.Cleanup(func() { srv.Close() })
	s := &Session{srv: srv}
	s.out.session = s
	s.out.Retain()
	n := &network{out: &s.out, dropped: map[int]bool{}}
	n.receiver.Begin(a)
	return n
}

// publish drops, now and then, the oldest event that may be dropped.
func (n *network) publish(t *rapid.T) {
	limits := &Limits{SessionBytes: none, SessionMessages: none}
	n.lock(func() {
		if rapid.IntRange(0, 3).Draw(t, "drops") == 0 {
			limits.SessionMessages = len(n.out.queue)
		}
		e := &event{text: strconv.AppendInt(nil, int64(n.published), 10)}
		gone, fits := n.out.push(e, DropOldest, limits, nil)
		if !fits { // all that waits may have been sent: a session would end here
			gone, _ = n.out.push(e, CloseSession, &Limits{SessionBytes: none, SessionMessages: none}, nil)
		}
		for _, e := range gone {
			n.dropped[numberOf(e.text)] = true
		}
	})
	n.published++
}

func (n *network) lock(f func()) {
	n.out.session.mu.Lock()
	defer n.out.session.mu.Unlock()
	f()
}

// hear is the client that gets an event.
func (n *network) hear(text []byte) {
	e := numberOf(text)
	if n.receiver.Event(uint64(e)) {
		n.got = append(n.got, e)
	}
}

func numberOf(text []byte) int {
	e, err := strconv.Atoi(string(text))
	if err != nil {
		panic(fmt.Sprintf("not an event: %s", text))
	}
	return e
}

// check requires that all that came is a beginning of the queue, without a gap but
// where events were dropped.
func (n *network) check(t *rapid.T) {
	next := 0
	for i, e := range n.got {
		for n.dropped[next] {
			next++
		}
		if next != e {
			t.Fatalf("event %d came in the place of %d: %v", e, next, n.got[max(0, i-5):])
		}
		next++
	}
}

// rest is how many events are still to come.
func (n *network) rest() int { return n.published - len(n.dropped) - len(n.got) }

// A poll is a connect that the server has got and not answered.
type poll struct {
	number  uint64
	sending bool
	events  [][]byte
}

// Model of the reference's form: polls may be lost on their way, arrive again
// later, and overtake each other; answers may be lost, or break off before the
// reply, so that some of the events come without their number.
func TestModelOfBatchesLosesAndRepeatsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNetwork(t, ack.Answer{Enabled: true})
		var polls []*poll  // at the server, the newest last
		var awaited *poll  // whose answer the client waits for
		var acked []uint64 // every acknowledgement that was sent, for repeats
		var flying *poll   // whose answer the server is sending
		arrive := func(a uint64) *poll {
			n.out.Acknowledge(a)
			p := &poll{}
			polls = append(polls, p)
			return p
		}
		begin := func(p *poll) {
			p.number = n.out.nextBatch()
			n.lock(func() {
				if flying == nil && n.out.waiting() {
					p.events, p.sending = n.out.take(nil, rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "limit"), rapid.SampledFrom([]int{none, 1, 2}).Draw(t, "messages")), true
					flying = p
				}
				n.out.carries(p.number, p.sending)
			})
		}
		finish := func(p *poll, sent bool, come int) {
			if p.sending {
				n.lock(func() { n.out.settle(sent) })
				flying, p.sending = nil, false
			}
			if p == awaited {
				for _, text := range p.events[:min(come, len(p.events))] {
					n.hear(text)
				}
				if come > len(p.events) {
					n.receiver.Batch(p.number)
				}
				awaited = nil
			}
			for i := range polls {
				if polls[i] == p {
					polls = append(polls[:i:i], polls[i+1:]...)
					break
				}
			}
		}
		whole := func(p *poll) int { return len(p.events) + 1 } // and the reply
		part := func(p *poll) int { return rapid.IntRange(0, len(p.events)).Draw(t, "come") }
		any := func(started bool) *poll {
			var some []*poll
			for _, p := range polls {
				if (p.number > 0) == started {
					some = append(some, p)
				}
			}
			if len(some) == 0 {
				t.Skip()
			}
			return rapid.SampledFrom(some).Draw(t, "poll")
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": n.publish,
			"connect": func(t *rapid.T) { // giving up the one before
				a := n.receiver.Connect()
				acked = append(acked, a)
				awaited = nil
				if rapid.Bool().Draw(t, "arrives") {
					awaited = arrive(a)
				}
			},
			"repeat": func(t *rapid.T) {
				if len(acked) == 0 {
					t.Skip()
				}
				arrive(rapid.SampledFrom(acked).Draw(t, "ack"))
			},
			"answer": func(t *rapid.T) { begin(any(false)) },
			"sent":   func(*rapid.T) { p := any(true); finish(p, true, whole(p)) },
			"cut":    func(*rapid.T) { p := any(true); finish(p, true, part(p)) },
			"broken": func(*rapid.T) { p := any(true); finish(p, false, part(p)) },
			"":       n.check,
		})
		for n.rest() > 0 || len(polls) > 0 {
			for len(polls) > 0 { // the network recovers
				p := polls[0]
				if p.number == 0 {
					begin(p)
				}
				finish(p, true, whole(p))
			}
			if n.rest() > 0 {
				awaited = arrive(n.receiver.Connect())
			}
		}
		n.check(t)
		require.Zero(t, n.rest())
	})
}

// A pipe is one connection of the numbered form: frames that the server has
// sent and the client has not read. Its client says first what it has.
type pipe struct {
	peer   *transport.Peer
	hello  uint64
	heard  bool
	frames [][][]byte
}

// Model of the numbered form over streams and polls: a new connection may come
// at any moment, also while the server still sends to the old one; what is in
// an old one is lost.
func TestModelOfNumbersLosesAndRepeatsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNetwork(t, ack.Answer{Enabled: true, Numbers: true})
		n.out.Number(func(first uint64) []byte { return fmt.Appendf(nil, "#%d", first) })
		var now *pipe    // the client's
		var at []*pipe   // those from which the server may still hear
		var flying *pipe // to which the server is sending
		var frame [][]byte
		open := func() {
			now = &pipe{peer: &transport.Peer{}, hello: n.receiver.Connect()}
			at = append(at, now)
		}
		hear := func(p *pipe) {
			n.out.Received(p.peer, p.hello)
			p.heard = true
		}
		begin := func(p *pipe, limit, messages int) {
			n.lock(func() {
				if flying == nil && n.out.mayLeaveTo(p.peer) && n.out.waiting() {
					flying, frame = p, n.out.take(nil, limit, messages)
				}
			})
		}
		finish := func(sent bool) {
			n.lock(func() { n.out.settle(sent) })
			if sent {
				flying.frames = append(flying.frames, frame)
			} else if flying == now {
				now = nil // it broke, and the client notices
			}
			flying = nil
		}
		read := func() {
			f := now.frames[0]
			now.frames = now.frames[1:]
			for _, text := range f {
				if text[0] == '#' {
					first, _ := strconv.ParseUint(string(text[1:]), 10, 64)
					n.receiver.Mark(first)
					continue
				}
				n.hear(text)
			}
		}
		open()
		pick := func() *pipe { return rapid.SampledFrom(at).Draw(t, "pipe") }
		t.Repeat(map[string]func(*rapid.T){
			"publish": n.publish,
			"open":    func(*rapid.T) { open() },
			"hear": func(t *rapid.T) {
				if p := pick(); !p.heard { // also late, after a newer one
					hear(p)
				}
			},
			"take": func(t *rapid.T) {
				begin(pick(), rapid.SampledFrom([]int{1, 3, 100}).Draw(t, "limit"), rapid.SampledFrom([]int{none, 1, 2}).Draw(t, "messages"))
			},
			"settle": func(t *rapid.T) {
				if flying == nil {
					t.Skip()
				}
				finish(rapid.Bool().Draw(t, "sent"))
			},
			"read": func(t *rapid.T) {
				if now == nil || len(now.frames) == 0 {
					t.Skip()
				}
				read()
			},
			"acknowledge": func(t *rapid.T) { // between two connects
				if now == nil || !now.heard {
					t.Skip()
				}
				if rapid.Bool().Draw(t, "as a connect") {
					n.out.Received(now.peer, n.receiver.Connect())
				} else {
					n.out.Received(nil, n.receiver.Connect())
				}
			},
			"": n.check,
		})
		if flying != nil {
			finish(true)
		}
		if now == nil || n.out.via != now.peer {
			open()
			hear(now)
		}
		for n.rest() > 0 {
			if len(now.frames) > 0 {
				read()
				continue
			}
			begin(now, 100, none)
			require.NotNil(t, flying, "the server sends no more")
			finish(true)
		}
		n.check(t)
		n.out.Received(nil, n.receiver.Connect())
		require.Zero(t, n.out.Bytes())
	})
}
