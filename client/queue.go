package client

import (
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// Overflow says what happens when a subscription's queue is full.
type Overflow int8

const (
	// Pause reads nothing more from the server until there is room. That
	// pauses all subscriptions of the client, and a session may end meanwhile.
	// While Subscribe waits for its reply nothing pauses, because the reply is
	// behind these messages: beyond half of Limits.QueueBytes the oldest is given
	// up, and a Gap tells. Nor does it pause when the connection has broken: what
	// was read of it comes on top, see Limits.QueueBytes.
	//
	// A handler that waits for a reply, to its own Publish for example, may so wait for
	// itself when Limits.QueueBytes are reached. When nobody has taken anything for
	// Timeouts.NetworkDelay, what has waited for as long returns bayeux.ErrTimeout,
	// with ErrLost if it may have been sent; a Call with a deadline has until then.
	Pause Overflow = iota
	// DropOldest gives up the oldest message in the queue; a Gap tells.
	DropOldest
	// KeepLatest keeps only the newest message of each channel in the queue,
	// full or not, in the place of the older one. No Gap tells of what it
	// replaced; Stats and Hooks.Dropped count it. A queue with fewer places than there are channels still gives up
	// the oldest, which is the newest of its channel: a Gap tells.
	KeepLatest
)

// An entry is a message in a queue, or a gap between two.
type entry struct {
	m     *bayeux.Message
	gap   *Gap
	done  []*ticket
	bytes int // the message's weight
}

// weight is about what m takes in memory.
func weight(m *bayeux.Message) int {
	n := 256 + len(m.Data) + len(m.Channel) + len(m.ID) + len(m.ClientID) + len(m.Error) + len(m.Timestamp)
	for k, v := range m.Ext {
		n += 64 + len(k) + len(v)
	}
	for k, v := range m.Extra {
		n += 64 + len(k) + len(v)
	}
	for _, ch := range m.Subscription.Channels {
		n += 16 + len(ch)
	}
	return n
}

// A queue holds what a subscription has yet to hand over. Readers put, the
// subscriber takes.
type queue struct {
	most     int
	overflow Overflow
	bytes    *atomic.Int64 // of all queues of the client
	maxBytes int64
	taken    chan struct{} // there may be something to take, or the end
	early    atomic.Bool   // nobody can take: Subscribe waits for its reply

	mu     lock.Mutex[lock.Queue]
	ring   []entry
	head   int
	n      int            // entries in the ring
	first  int            // the head's number, counted from the beginning
	latest map[string]int // KeepLatest: the number of each channel's entry
	gap    *Gap           // before the head: what was given up there
	ended  bool
	err    error
	gone   chan struct{} // closed when it has ended and given up what waited
}

func (q *queue) at(number int) *entry { return &q.ring[(q.head+number-q.first)%len(q.ring)] }

// A pressure is how much there is against waiting until a Pause queue has room.
type pressure int8

const (
	patient pressure = iota
	urgent           // past the limit in number: somebody waits for a reply that stands behind
	broken           // past both limits: the connection is over, and what it has left must go somewhere
	crushed          // past the limit in number, and the oldest is given up: so it is, and that of one before is still there
)

// offer puts e in, unless there is no room and the subscriber must come first.
// dropped are the messages that were given up for e, or e itself
// when the queue has ended; they are the caller's to finish.
func (q *queue) offer(e entry, p pressure) (taken bool, dropped []entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return true, []entry{e}
	}
	if old, ok := q.latest[e.m.Channel]; ok {
		dropped = append(dropped, q.replace(old, e))
		for q.first != old && q.heavy(entry{}) { // e may be larger than what it replaced
			if e, ok := q.dropHead(); ok {
				dropped = append(dropped, e)
			}
		}
		return true, dropped
	}
	heavy, early := q.heavy(e), q.early.Load()
	if q.overflow == Pause && !early {
		if heavy && p < broken || q.n >= q.most && p < urgent {
			return false, nil
		}
		heavy = heavy && p != broken
	}
	for q.n > 0 && (heavy || q.n >= q.most && q.overflow != Pause) {
		if e, ok := q.dropHead(); ok {
			dropped = append(dropped, e)
		}
		heavy = q.heavy(e)
	}
	q.append(e)
	return true, dropped
}

// heavy reports whether e is too much for what all queues may hold together. One
// that nobody can take from leaves half of it to the others.
func (q *queue) heavy(e entry) bool {
	waiting, most := q.bytes.Load(), q.maxBytes
	if q.early.Load() {
		most /= 2
	}
	return q.maxBytes > 0 && waiting > 0 && waiting+int64(e.bytes) > most
}

// replace puts e where an older message of its channel waits, and returns that.
func (q *queue) replace(number int, e entry) (old entry) {
	at := q.at(number)
	old, *at = *at, e
	q.bytes.Add(int64(e.bytes - old.bytes))
	return old
}

func (q *queue) append(e entry) {
	if q.n == len(q.ring) {
		q.grow()
	}
	*q.at(q.first + q.n) = e
	if q.overflow == KeepLatest && e.m != nil {
		q.latest[e.m.Channel] = q.first + q.n
	}
	q.n++
	q.bytes.Add(int64(e.bytes))
	q.wake()
}

func (q *queue) grow() {
	ring := make([]entry, max(16, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = *q.at(q.first + i)
	}
	q.ring, q.head = ring, 0
}

// pop takes the head. An empty queue gives up the memory of a burst.
func (q *queue) pop() entry {
	e := q.ring[q.head]
	q.ring[q.head] = entry{}
	q.head = (q.head + 1) % len(q.ring)
	q.first++
	q.n--
	q.bytes.Add(-int64(e.bytes))
	if e.m != nil && q.overflow == KeepLatest {
		delete(q.latest, e.m.Channel)
	}
	if q.n == 0 && len(q.ring) > 1024 {
		q.ring, q.head = nil, 0
	}
	return e
}

// untake puts back what was taken last and not handed over, unless a newer one has
// come that replaces it.
func (q *queue) untake(e entry) (replaced bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-q.gone: // with all that waited
		return false
	default:
	}
	if q.overflow == KeepLatest {
		if _, newer := q.latest[e.m.Channel]; newer {
			return true
		}
	}
	if gap := q.gap; gap != nil { // it came behind e
		q.gap = nil
		q.prepend(entry{gap: gap})
	}
	q.prepend(e)
	if q.overflow == KeepLatest {
		q.latest[e.m.Channel] = q.first
	}
	q.wake()
	return false
}

// prepend puts e before all others.
func (q *queue) prepend(e entry) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.head = (q.head + len(q.ring) - 1) % len(q.ring)
	q.first--
	q.n++
	q.ring[q.head] = e
	q.bytes.Add(int64(e.bytes))
}

// dropHead gives up the oldest message and remembers that in the gap before
// the head.
func (q *queue) dropHead() (entry, bool) {
	e := q.pop()
	if e.m == nil {
		q.gap = merge(q.gap, e.gap)
		return e, false
	}
	now := time.Now()
	q.gap = merge(q.gap, &Gap{Channel: e.m.Channel, From: now, To: now, Dropped: 1, Reason: transport.Overflow})
	return e, true
}

// waits reports whether there is anything in the queue: nobody takes what comes
// before the reply to its subscribe.
func (q *queue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n > 0
}

// addGap puts a gap behind what is queued, or widens the one that is there.
func (q *queue) addGap(g Gap) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	if q.n > 0 {
		if last := q.at(q.first + q.n - 1); last.gap != nil {
			last.gap = merge(last.gap, &g)
			return
		}
	}
	q.append(entry{gap: &g})
}

// take returns the next message; a gap is returned alone, before the message
// that follows it. ok is false when there is nothing, over when there never
// will be.
func (q *queue) take() (e entry, ok, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.gap != nil:
		e, q.gap = entry{gap: q.gap}, nil
		return e, true, false
	case q.n > 0:
		return q.pop(), true, false
	}
	return entry{}, false, q.ended
}

// takeMessage is take for whoever has a message already: it leaves a gap, and
// what is behind it, where they are.
func (q *queue) takeMessage() (e entry, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gap != nil || q.n == 0 || q.ring[q.head].gap != nil {
		return entry{}, false
	}
	return q.pop(), true
}

// end lets no more in. Without drain what waits is given up, for the caller to
// finish; with it, it counts no more for the others, as it may wait for ever.
func (q *queue) end(err error, drain bool) (first bool, left []entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.ended, q.err, first = true, err, true
		all := q.bytes
		q.bytes = new(atomic.Int64)
		for i := range q.n {
			bytes := int64(q.at(q.first + i).bytes)
			all.Add(-bytes)
			q.bytes.Add(bytes)
		}
	}
	if !drain {
		left = q.empty()
		select {
		case <-q.gone:
		default:
			close(q.gone)
		}
	}
	q.wake()
	return first, left
}

// empty takes all out. The caller holds mu.
func (q *queue) empty() (left []entry) {
	for q.n > 0 {
		left = append(left, q.pop())
	}
	q.gap = nil
	return left
}

// forget gives up the messages that came so far, for the caller to finish. The gaps
// stay: an extension has told them.
func (q *queue) forget() (left []entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	gap := q.gap
	for _, e := range q.empty() {
		if e.gap != nil {
			gap = merge(gap, e.gap)
		} else {
			left = append(left, e)
		}
	}
	q.gap = gap
	return left
}

func (q *queue) wake() {
	wake(q.taken)
}

func (q *queue) error() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n
}
