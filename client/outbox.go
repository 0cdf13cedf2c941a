package client

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// A lane is what goes one after the other. A Once transport has an exchange for each
// lane at a time, because between exchanges there is no order; a stream takes from
// both.
type lane int8

const (
	laneConnect lane = iota // handshake, connect
	laneOther               // all else, the ordinary requests, in order
)

// An outbox holds requests until a link takes them.
type outbox struct {
	bytes int // of one payload; negative: no bound

	mu     lock.Mutex[lock.Outbox]
	lanes  [2][]*request
	shut   bool     // the ordinary lane waits for a session
	single bool     // the server takes one message at a time
	apart  *request // was taken, and nothing more is until it is answered: the server may choke on it
	closed bool
	placed uint64 // the place of the latest request in the ordinary lane
	inHand int    // payloads of the ordinary lane that were taken and are not done with
	wake   [2]chan struct{}
}

// batchMessages bounds the messages of one payload: servers refuse very many.
const batchMessages = 256

func newOutbox(bytes int) *outbox {
	return &outbox{
		bytes: bytes, shut: true,
		wake: [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)},
	}
}

// put appends requests to a lane, all in a row, unless the outbox is closed.
func (o *outbox) put(to lane, rs ...*request) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if to == laneOther {
		now := clock.Now()
		for _, r := range rs {
			o.placed++
			r.place, r.asked = o.placed, now
		}
	}
	o.lanes[to] = append(o.lanes[to], rs...)
	if to == laneOther && len(rs) > 0 && rs[0].m != nil {
		o.letPass()
	}
	o.signal(to)
	return true
}

// letPass puts what is no publish before publishes of which the first rests: those
// behind it may be very many. The caller holds mu.
func (o *outbox) letPass() {
	waiting := o.lanes[laneOther]
	first := slices.IndexFunc(waiting, func(r *request) bool { return r.m == nil })
	if first < 0 || waiting[first].rests() <= 0 {
		return
	}
	var passing, publishes []*request
	for _, r := range waiting[first:] {
		if r.m == nil {
			publishes = append(publishes, r)
			continue
		}
		r.place = waiting[first].place - 1 // or the lane would be out of order
		passing = append(passing, r)
	}
	if len(passing) > 0 {
		o.lanes[laneOther] = slices.Concat(waiting[:first], passing, publishes)
	}
}

// close takes nothing more and returns what waits.
func (o *outbox) close() []*request {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	rs := slices.Concat(o.lanes[laneConnect], o.lanes[laneOther])
	o.lanes = [2][]*request{}
	return rs
}

// putBack returns requests to the ordinary lane, each to its place: what
// goroutines published keeps its order, however many of its messages come back,
// at once or one after the other. A closed outbox does not take them.
func (o *outbox) putBack(rs []*request) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	slices.SortFunc(rs, func(a, b *request) int { return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.id, b.id)) })
	waiting := o.lanes[laneOther]
	if n := len(rs); n > 0 && (len(waiting) == 0 || rs[n-1].place < waiting[0].place) {
		waiting = slices.Concat(rs, waiting)
	} else {
		for _, r := range rs {
			i, _ := slices.BinarySearchFunc(waiting, r.place+1, func(r *request, place uint64) int { return cmp.Compare(r.place, place) })
			waiting = slices.Insert(waiting, i, r)
		}
	}
	o.lanes[laneOther] = waiting
	o.letPass()
	if slices.Contains(rs, o.apart) {
		o.apart = nil
	}
	o.signal(laneOther)
	return true
}

// goOn says that r is settled, for which the others may have waited.
func (o *outbox) goOn(r *request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.apart == r {
		o.apart = nil
		o.signal(laneOther)
	}
}

// putFirst puts requests before all others, also those that come back: they must
// reach a new session first.
func (o *outbox) putFirst(rs []*request) {
	o.mu.Lock()
	o.lanes[laneOther] = slices.Concat(rs, o.lanes[laneOther])
	o.mu.Unlock()
}

func (o *outbox) signal(on lane) {
	wake(o.wake[on])
}

// openOrdinary lets ordinary requests through.
func (o *outbox) openOrdinary() {
	o.mu.Lock()
	o.shut = false
	o.mu.Unlock()
	o.signal(laneOther)
}

// shutOrdinary holds ordinary requests back.
func (o *outbox) shutOrdinary() {
	o.mu.Lock()
	o.shut = true
	o.mu.Unlock()
}

// oneByOne sends one message a payload from now on, or several again: what one server
// does not take, or does not over one transport, another may.
func (o *outbox) oneByOne(yes bool) {
	o.mu.Lock()
	o.single = yes
	o.mu.Unlock()
}

// remove takes r out, if it has not been taken.
func (o *outbox) remove(r *request) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for on := range o.lanes {
		if i := slices.Index(o.lanes[on], r); i >= 0 {
			o.lanes[on] = slices.Delete(o.lanes[on], i, i+1)
			o.signal(lane(on)) // others may have waited for it
			return true
		}
	}
	return false
}

// waiting are the ordinary requests that match and have not been taken.
func (o *outbox) waiting(match func(*request) bool) (rs []*request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.lanes[laneOther] {
		if match(r) {
			rs = append(rs, r)
		}
	}
	return rs
}

// clear takes out the requests that match.
func (o *outbox) clear(match func(*request) bool) (rs []*request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for on := range o.lanes {
		o.lanes[on] = slices.DeleteFunc(o.lanes[on], func(r *request) bool {
			if match(r) {
				rs = append(rs, r)
				return true
			}
			return false
		})
		o.signal(lane(on)) // others may have waited for them
	}
	return rs
}

// take waits until one of the lanes has something to send, and returns what
// fits one payload; nil when ctx has ended.
func (o *outbox) take(ctx context.Context, lanes ...lane) []*request {
	var timer <-chan time.Time
	for ctx.Err() == nil { // or what is taken would be lost with who took it
		rs, wait := o.ready(lanes)
		if rs != nil {
			return rs
		}
		if timer = nil; wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-o.wake[lanes[0]]:
		case <-o.wake[lanes[len(lanes)-1]]:
		case <-timer:
		case <-ctx.Done():
		}
	}
	return nil
}

// ready is the next payload's requests, or how long to wait for one.
func (o *outbox) ready(lanes []lane) (rs []*request, wait time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, on := range lanes {
		waiting := o.lanes[on]
		if len(waiting) == 0 || on == laneOther && o.shut {
			continue
		}
		resting, publishes, pause := rest(waiting)
		if resting == len(waiting) {
			if wait == 0 || pause < wait {
				wait = pause
			}
			continue
		}
		ready := waiting[resting:]
		if on == laneOther && o.apart != nil && ready[0].kind != transport.Disconnect {
			continue
		}
		n := 1
		if on == laneOther {
			n = o.cut(ready, !publishes)
			o.inHand++
			if ready[0].breaks.count() > 0 {
				o.apart = ready[0]
			}
		}
		rs = slices.Clone(ready[:n])
		o.drop(on, resting, n)
		return rs, 0
	}
	return nil, wait
}

// rest is how many requests stand before the first that may be sent now, whether
// publishes are among them, and if there is none, how long until there is. What waits
// for its time lets others pass; but no publish passes another.
func rest(waiting []*request) (resting int, publishes bool, pause time.Duration) {
	for i, r := range waiting[:min(len(waiting), mostPassed)] {
		d := r.rests()
		if d <= 0 && !(publishes && r.m == nil) {
			return i, publishes, 0
		}
		publishes = publishes || r.m == nil
		if d > 0 && (pause == 0 || d < pause) {
			pause = d
		}
	}
	return len(waiting), publishes, pause
}

// rests is how long r waits for its time.
func (r *request) rests() time.Duration {
	if r.after.IsZero() {
		return 0
	}
	return time.Until(r.after)
}

// mostPassed bounds the search: very many publishes may stand behind one that rests, but
// what may pass them stands before (letPass).
const mostPassed = 1024

// done says that a payload of the ordinary lane is sent, or an exchange over.
func (o *outbox) done() {
	o.mu.Lock()
	o.inHand--
	o.mu.Unlock()
}

// atWork reports whether somebody has taken ordinary requests to send them.
func (o *outbox) atWork() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.inHand > 0
}

// drop forgets n of a lane, which stand behind those that rest.
func (o *outbox) drop(on lane, resting, n int) {
	copy(o.lanes[on][n:], o.lanes[on][:resting])
	clear(o.lanes[on][:n])
	if o.lanes[on] = o.lanes[on][n:]; len(o.lanes[on]) == 0 {
		o.lanes[on] = nil
	} else {
		o.signal(on) // the wake that led here may have stood for them too
	}
}

// cut is how many of waiting go into one payload: as many as fit, and what
// belongs together in one payload if it fits one at all. Those whose exchange has
// failed share none with others, which would fail with them.
func (o *outbox) cut(waiting []*request, publishes bool) int {
	if o.single || alone(waiting[0]) {
		return 1
	}
	whole, bytes, failed := 0, 2, waiting[0].failures > 0
	for i, r := range waiting {
		bytes += r.size()
		over := o.bytes > 0 && bytes > o.bytes || i >= batchMessages || alone(r)
		apart := r.failures > 0 != failed || r.m == nil && !publishes
		if over || apart || i > 0 && !r.after.IsZero() && time.Until(r.after) > 0 {
			if whole == 0 {
				whole = max(i, 1)
			}
			return whole
		}
		if !r.more {
			whole = i + 1
		}
	}
	return len(waiting)
}

// alone reports whether r has a payload to itself: a failure of it is then r's alone.
func alone(r *request) bool {
	return r.kind == transport.Disconnect || r.breaks.count() > 0 || r.failures > 1
}

// size is at least what r takes on the wire, extensions apart.
func (r *request) size() int {
	if r.m == nil {
		return len(r.channel) + r.data.Len() + 160
	}
	n := 200
	for _, ch := range r.m.Subscription.Channels {
		n += len(ch) + 8
	}
	for k, v := range r.m.Ext {
		n += len(k) + len(v) + 8
	}
	return n
}
