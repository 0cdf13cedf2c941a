package server

import (
	"github.com/gocometd/cometd/bayeux"
)

// An event is one encoded message, shared by every outbox it is in.
type event struct {
	text    []byte // a JSON object; never changed
	channel *channel
	lazy    bool
	born    uint32 // after so many sweeps
	places  int32  // outboxes that have it, and casting (budget.go)
	of      *event // of a copy of a latest message: the one that is counted; nil: itself
}

func (e *event) name() string {
	if e.channel == nil {
		return ""
	}
	return e.channel.name
}

// An Outbox is a session's bounded queue of undelivered messages. Extensions
// that make delivery reliable use it; most programs only look at its size.
//
// Messages leave in batches. A batch is gone when the Conn has taken it, or,
// after [Outbox.Retain], when the client has acknowledged it. All methods may
// be called from any goroutine.
type Outbox struct { // what a delivery touches comes first (Session)
	queue  []*event // waiting; the first flying are being sent
	flying int
	bytes  int
	base   uint64 // how many events have left the queue's front, ever

	onConnect bool
	overflown bool // it takes no more: its session is about to end
	retention
	session *Session            // whose mu guards all that is here
	latest  map[*channel]uint64 // for KeepLatest: base + place in queue
	lost    uint64
	room    chan struct{} // closed when there is some, for who waits
	filter  func([]*bayeux.Message) []*bayeux.Message
}

// Len returns how many messages wait, not counting those that were sent and
// wait for an acknowledgement.
func (o *Outbox) Len() int {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	return len(o.queue) - o.kept
}

// Bytes returns the size of all messages held, in bytes.
func (o *Outbox) Bytes() int {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	return o.bytes
}

// Dropped returns how many messages were dropped because the outbox was full,
// or still waited when the session had ended. Messages replaced by a newer one
// of the same channel count too; those that were sent and not acknowledged do
// not.
func (o *Outbox) Dropped() uint64 {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	return o.lost
}

// Filter lets f see the messages that are about to leave, as many as go into
// one frame or reply, in order: it returns what to send in their place, so it
// may leave out, change and merge. It runs on the way out, outside all locks,
// and again for messages that are sent again. nil takes it away. Messages of
// such a session are encoded for it apart.
//
// Set it before the handshake is answered, in Policy.Handshake: it is false,
// and nothing happens, once the session's client counts its messages, see
// [Outbox.Number].
func (o *Outbox) Filter(f func(ms []*bayeux.Message) []*bayeux.Message) bool {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	if o.number != nil && f != nil {
		return false
	}
	o.filter = f
	return true
}

// push queues e, appends what it dropped for that to gone, and reports whether
// there was room. The caller holds mu.
func (o *Outbox) push(e *event, how Overflow, l *Limits, gone []*event) ([]*event, bool) {
	if old := o.replace(e, how); old != nil {
		gone = append(gone, old)
		for exceeds(o.bytes, l.SessionBytes) && o.queue[o.fixed()] != e {
			gone = append(gone, o.dropOldest(how))
		}
		return gone, true
	}
	for exceeds(o.bytes+len(e.text), l.SessionBytes) && len(o.queue) > 0 || exceeds(len(o.queue)+1, l.SessionMessages) {
		old := o.dropOldest(how)
		if old == nil {
			return append(gone, e), false
		}
		gone = append(gone, old)
	}
	if how == KeepLatest {
		if o.latest == nil {
			o.latest = map[*channel]uint64{}
		}
		o.latest[e.channel] = o.end()
	}
	o.queue = append(o.queue, e)
	o.bytes += len(e.text)
	return gone, true
}

// crowded reports whether another message would be one too many.
func (o *Outbox) crowded() bool {
	o.session.mu.Lock()
	defer o.session.mu.Unlock()
	return exceeds(len(o.queue)+1, o.session.srv.limits.SessionMessages)
}

// replace puts e where an older message of its channel still waits, and
// returns that.
func (o *Outbox) replace(e *event, how Overflow) *event {
	if how != KeepLatest {
		return nil
	}
	place, ok := o.latest[e.channel]
	if !ok || place < o.base+uint64(o.fixed()) {
		return nil
	}
	old := o.queue[place-o.base]
	o.queue[place-o.base] = e
	o.bytes += len(e.text)
	o.free(old)
	return old
}

// dropOldest takes out the first message that is neither being sent nor
// retained, if how allows it. The few before it move up, so that the places of
// those behind it stay as they are.
func (o *Outbox) dropOldest(how Overflow) *event {
	i := o.fixed()
	if how != DropOldest && how != KeepLatest || i >= len(o.queue) {
		return nil
	}
	e := o.queue[i]
	o.forget(e, o.base+uint64(i))
	o.free(e)
	copy(o.queue[1:i+1], o.queue[:i])
	o.queue[0] = nil
	o.queue = o.queue[1:]
	o.base++
	o.skip()
	return e
}

// forget ends that e, at its place, is what a newer message of its channel takes
// the place of.
func (o *Outbox) forget(e *event, place uint64) {
	if at, ok := o.latest[e.channel]; ok && at == place {
		delete(o.latest, e.channel)
	}
}

// waiting reports whether there is something to send.
func (o *Outbox) waiting() bool { return len(o.queue) > o.busy() }

// overflows reports whether something will still wait after the next answer,
// which takes at most limit bytes along.
func (o *Outbox) overflows(limit int) bool {
	if !o.waiting() {
		return false
	}
	if o.session.sender != nil || o.session.laneFree(laneConnect) > 0 {
		return true
	}
	next := o.queue
	if o.number != nil {
		next = next[o.kept:]
	}
	size := 0
	for i, e := range next {
		if size += len(e.text) + 1; exceeds(size, limit) && i > 0 {
			return true
		}
	}
	return false
}

// end is the place after the last message, counted from the session's first.
func (o *Outbox) end() uint64 { return o.base + uint64(len(o.queue)) }

// busy is how many messages at the front may not be touched.
func (o *Outbox) busy() int { return max(o.flying, o.kept) }

// take appends the texts of the next messages, at most so many and at most limit
// bytes unless the first alone is larger, and marks them as being sent. The
// caller holds mu and calls settle when it knows how sending went.
func (o *Outbox) take(dst [][]byte, limit, messages int) [][]byte {
	dst = o.begin(dst)
	next := o.queue[o.kept:]
	if exceeds(len(next), messages) {
		next = next[:messages]
	}
	size, n := 0, o.kept
	for _, e := range next {
		size += len(e.text) + 1
		if exceeds(size, limit) && n > o.kept {
			break
		}
		dst = append(dst, e.text)
		n++
	}
	if len(o.latest) > 0 { // these stay what they are, also if they come back, and their places change
		for i, e := range o.queue[:n] {
			o.forget(e, o.base+uint64(i))
		}
	}
	o.flying, o.rewound = n, false
	o.sent = max(o.sent, o.base+uint64(n))
	return dst
}

// settle ends what take began: sent messages are gone, or kept until they are
// acknowledged. The caller holds mu.
func (o *Outbox) settle(sent bool) {
	n := o.flying
	o.flying = 0
	switch {
	case !sent || o.rewound:
	case o.retain:
		o.kept = max(o.kept, n)
	default:
		o.drop(n)
	}
}

// drop removes the first n events.
func (o *Outbox) drop(n int) {
	o.free(o.queue[:n]...)
	clear(o.queue[:n])
	o.base += uint64(n)
	if n == len(o.queue) {
		o.reset()
	} else {
		o.queue = o.queue[n:]
	}
	o.freed()
}

// reset keeps a small array for the next messages and lets go of a large one.
func (o *Outbox) reset() {
	if cap(o.queue) > 64 {
		o.queue = nil
		return
	}
	o.queue = o.queue[:0]
}

// discard lets go of everything but what is being sent, and returns the
// messages that waited. What waited for them to leave waits no more.
func (o *Outbox) discard() (waited []*event) {
	end, n := o.end(), o.flying
	waited = o.queue[o.busy():]
	o.free(o.queue[n:]...)
	o.queue = o.queue[:n:n]
	o.base = end - uint64(n)
	o.marks, o.latest = nil, nil
	o.retain, o.kept = false, 0
	return waited
}

// free counts out events that the queue has no more.
func (o *Outbox) free(es ...*event) {
	var n int64
	for _, e := range es {
		o.bytes -= len(e.text)
		n += e.leave()
	}
	o.session.srv.queued.Add(-n)
}
