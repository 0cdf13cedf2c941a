package server

import (
	"context"
	"slices"

	"github.com/gocometd/cometd/transport"
)

// retention is what an outbox knows of messages that were sent and may have to
// be sent again. There are two ways to acknowledge them: by the batch that left
// with a connect reply, as the ack extension does with everybody
// (docs/protocol.md §16), and by the number of the message.
type retention struct {
	retain  bool
	rewound bool   // what is being sent counts as not sent: it is to be sent again
	kept    int    // events at the front that were sent and wait for their acknowledgement
	sent    uint64 // the place after the last event that was ever sent

	number   func(first uint64) []byte
	via      *transport.Peer // to whom numbered events leave: who has said what it has
	unmarked bool            // via has not been told the number of the next event

	batch uint64 // the last number that was given to a connect reply
	due   uint64 // the number of the reply in Session.due

	skipped uint64     // events that were dropped and never sent: they have a place and no number
	marks   []batchEnd // what a client has that acknowledges a batch
}

// A batchEnd says that the reply of that number carried all events from the
// last acknowledged one up to a place.
type batchEnd struct{ number, end uint64 }

// batchesKnown bounds the marks of a client that acknowledges nothing. Without
// its mark a batch is sent again.
const batchesKnown = 128

// OnConnectOnly makes messages leave only together with connect replies, on
// any transport, as the ack extension needs (docs/protocol.md §16).
func (o *Outbox) OnConnectOnly(on bool) {
	o.session.mu.Lock()
	o.onConnect = on
	o.session.mu.Unlock()
	o.session.wake()
}

// Retain keeps every message after it was sent, until [Outbox.Acknowledge] or
// [Outbox.Received]. It counts against Limits.SessionBytes until then.
func (o *Outbox) Retain() {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	o.retain = true
}

// Number is Retain for a client that counts: each message of the session has a
// number, the first is 1, and [Outbox.Received] acknowledges by it. On a stream
// messages leave at once. mark encodes a message that tells the number of the
// message which follows it; it leaves before the first message on each
// connection, and its client counts on from there. Over polling transports
// messages leave with connect replies. mark runs while the session is locked: it
// must not use the server. Number is false, and does nothing, for a session that
// has a Filter, because a client would count other messages.
func (o *Outbox) Number(mark func(first uint64) []byte) bool {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	if o.filter != nil {
		return false
	}
	o.retain, o.number = true, mark
	return true
}

// BatchOf returns, to an Extension's Outgoing that sees a connect reply, the
// number of the batch that leaves with it: one more for each connect reply,
// also an empty one, from 1. A handshake reply that messages leave with has one
// too. Elsewhere it is 0.
func BatchOf(ctx context.Context) uint64 {
	n, _ := ctx.Value(batchKey{}).(uint64)
	return n
}

type batchKey struct{}

// Acknowledge drops the messages that left with batch n, and those before
// them. All others that were sent were not seen by the client: they wait again,
// before everything else, and leave with the next batch. An n that is old or
// was never sent drops nothing.
func (o *Outbox) Acknowledge(n uint64) {
	s := o.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range o.marks {
		if m.number == n {
			o.release(m.end)
		}
	}
	o.marks = slices.DeleteFunc(o.marks, func(m batchEnd) bool { return m.end <= o.base })
	o.rewind()
}

// Received says that the client behind p has received all messages up to
// number n. They are dropped; if p is another connection than last time those
// after them are sent again, at once. Numbered messages leave only to who has
// said so: a client does it in the first message on each connection. Replies do
// not wait for that. With a nil p it says no more than what it has received. An
// n that is beyond what was sent drops what was sent.
func (o *Outbox) Received(p *transport.Peer, n uint64) {
	s := o.session
	s.mu.Lock()
	o.release(min(n, o.sent-o.skipped) + o.skipped) // the place after number n
	if p != nil && o.via != p {
		o.via, o.unmarked = p, true
		o.rewind()
	}
	s.mu.Unlock()
	s.wake()
}

// release drops the events before end, an acknowledged place.
func (o *Outbox) release(end uint64) {
	if end <= o.base {
		return
	}
	gone := int(end - o.base)
	o.drop(gone)
	o.kept, o.flying = max(0, o.kept-gone), max(0, o.flying-gone)
}

// rewind makes what was sent wait again, before everything else.
func (o *Outbox) rewind() {
	s := o.session
	o.rewound = o.flying > 0
	o.kept = 0
	if len(o.queue) == 0 || s.urgent {
		return
	}
	if slices.ContainsFunc(o.queue, func(e *event) bool { return !e.lazy }) {
		s.urgent = true
		return
	}
	s.waitLazily(timingLazy)
}

// begin prepares to take events: a batch has all that is not acknowledged, and
// the first numbered event on a connection is told its number.
func (o *Outbox) begin(dst [][]byte) [][]byte {
	switch {
	case o.number == nil:
		o.kept = 0
	case o.unmarked && len(o.queue) > o.kept:
		o.unmarked = false
		dst = append(dst, o.number(o.base+uint64(o.kept)+1-o.skipped))
	}
	return dst
}

// nextBatch gives a number to a connect reply.
func (o *Outbox) nextBatch() uint64 {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	o.batch++
	return o.batch
}

// carries notes which events leave with the connect reply of that number: those
// that are being sent, or none. The caller holds mu.
func (o *Outbox) carries(number uint64, events bool) {
	if !o.retain || o.number != nil {
		return
	}
	end := o.base
	if events {
		end += uint64(o.flying)
	}
	if end == o.base {
		return // to acknowledge it says nothing
	}
	if o.marks = append(o.marks, batchEnd{number, end}); len(o.marks) > batchesKnown {
		o.marks = slices.Delete(o.marks, 0, 1)
	}
}

// mayLeaveTo reports whether events may leave to p. The caller holds mu.
func (o *Outbox) mayLeaveTo(p *transport.Peer) bool { return o.number == nil || o.via == p }

// fixed is how many messages at the front may not be dropped or replaced: what
// may be sent again is the same again, and a number that was told stays that of
// its message.
func (o *Outbox) fixed() int {
	if !o.retain {
		return o.busy()
	}
	return max(o.busy(), int(o.sent-o.base))
}

// skip notes that an event was dropped, behind all that may be sent again: their
// places are one more now, and their numbers as before.
func (o *Outbox) skip() {
	o.sent++
	o.skipped++
	for i := range o.marks {
		o.marks[i].end++
	}
}
