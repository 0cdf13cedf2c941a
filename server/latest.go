package server

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
)

// The latest message of a channel with ChannelOptions.SendLast, for those who
// subscribe later. Its channel's order guards it.
type latest struct {
	event *event
	used  uint32 // when it was published or given to somebody last, in sweeps

	// Who got it, in the form of how many subscriptions each pattern had had by
	// then: they are not to get it once more. Patterns that have gone since are not
	// held in memory by it.
	reached []reach
}

type reach struct {
	pattern uint64 // its serial
	now     uint32
}

// has reports whether a subscription, to the channel itself or to a pattern, was
// there when the message was put into the outboxes.
func (l *latest) has(sub *subscription) bool {
	for _, r := range l.reached {
		if r.pattern == sub.channel.serial {
			return snapshot{added: r.now}.had(sub)
		}
	}
	return false // the pattern is newer than the message
}

// settleAudience takes the snapshots that the message goes to. The caller holds the
// channel's order, and looks at the set of patterns afterwards: whoever has come with
// a pattern that the route lacks finds the channel among lasts, and the message there.
func (p *publishing) settleAudience() {
	if p.channel.last == nil {
		p.srv.channels.lasts.add(p.channel)
	}
	p.takeSnapshots()
}

func (p *publishing) takeSnapshots() {
	p.settled = p.settled[:0]
	for _, c := range p.route.patterns {
		p.settled = append(p.settled, c.subs.snapshot())
	}
}

// unsettle lets go of them.
func (p *publishing) unsettle() {
	clear(p.settled)
	p.settled = p.settled[:0]
}

// keepLast makes e the latest message of its channel, whose order the caller holds.
func (p *publishing) keepLast(e *event) {
	ch, more := p.channel, e.memory()
	if ch.last == nil {
		ch.last = new(latest)
	} else {
		more -= ch.last.event.memory()
	}
	l := ch.last
	l.event, l.used, l.reached = e, e.born, l.reached[:0]
	for i, c := range p.route.patterns {
		l.reached = append(l.reached, reach{c.serial, p.settled[i].added})
	}
	p.srv.channels.lasts.bytes.Add(more)
}

func (ch *channel) hasLast() bool {
	ch.order.Lock()
	defer ch.order.Unlock()
	return ch.last != nil
}

// subscribe lists sub. It is false if ch has been swept meanwhile.
func (ch *channel) subscribe(sub *subscription) (listed bool) {
	ch.order.Lock()
	defer ch.order.Unlock()
	return ch.list(sub)
}

// giveLast queues the latest message of ch, where its options say so, for a
// subscription that is listed there or on a pattern which matches it, unless it has
// come as any message does. It is false if the session takes none any more.
//
// What user code makes of it for the session is made while others publish. What is
// published then comes to the subscription, and takes its place.
func (srv *Server) giveLast(ch *channel, sub *subscription, wanted func(ch string) bool, w *wakes) (takes bool) {
	o := srv.channels.rules.options(ch.name)
	if !o.SendLast || wanted != nil && !wanted(ch.name) {
		return true
	}
	ch.order.Lock()
	defer ch.order.Unlock()
	for ch.last != nil && !ch.last.has(sub) {
		last := ch.last.now(srv.sweeps.Load())
		own := last
		if srv.delivers() {
			func() {
				ch.order.Unlock()
				defer ch.order.Lock() // also if user code ends the goroutine
				own = srv.ownOf(context.Background(), sub.session, ch.name, last)
			}()
			if ch.last == nil || ch.last.event.counted() != last.counted() {
				continue // with a newer one, unless that has come already
			}
		}
		return own == nil || sub.session.pushAlone(own, &o, w)
	}
	return true
}

// now is the message as one that has come just now: for how long it has been kept
// is no delay of the session that gets it. The caller holds the channel's order.
func (l *latest) now(sweeps uint32) *event {
	if e := l.event; e.born != sweeps {
		l.event = &event{text: e.text, channel: e.channel, lazy: e.lazy, born: sweeps, of: e.counted()}
	}
	l.used = sweeps
	return l.event
}

// lasts are the channels that keep their latest message: who subscribes to a
// pattern need not look at all the others.
type lasts struct {
	bytes    atomic.Int64 // what the messages take, also of those that wait for sessions as well
	trimming atomic.Bool

	mu  lock.Mutex[lock.Lasts]
	all map[*channel]struct{}
}

func (l *lasts) add(ch *channel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[*channel]struct{}{}
	}
	l.all[ch] = struct{}{}
}

func (l *lasts) remove(ch *channel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, ch)
}

// drop ends that ch keeps a message. It is false if it did not. The caller holds its
// order.
func (l *lasts) drop(ch *channel) bool {
	last := ch.last
	l.remove(ch)
	if last == nil {
		return false
	}
	ch.last = nil
	l.bytes.Add(-last.event.memory())
	return true
}

// matching are those that match a pattern.
func (l *lasts) matching(pattern string) (some []*channel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ch := range l.all {
		if bayeux.Channel(pattern).Match(ch.name) {
			some = append(some, ch)
		}
	}
	return some
}

// trimLasts sees to it that the latest messages together stay within their limit,
// after a message from somebody. It waits for nothing.
func (srv *Server) trimLasts(from *Session) {
	l, limit := &srv.channels.lasts, int64(srv.limits.LatestBytes)
	if limit < 0 || l.bytes.Load() <= limit || !l.trimming.CompareAndSwap(false, true) {
		return
	}
	srv.run(func() {
		defer func() {
			l.trimming.Store(false)
			srv.trimLasts(from) // others may have kept more since the last look, and left it to this one
		}()
		srv.dropLasts(from, limit-limit/8)
	})
}

// dropLasts drops latest messages until they take no more than so many bytes.
func (srv *Server) dropLasts(from *Session, most int64) {
	l, addr := &srv.channels.lasts, ""
	if from != nil {
		addr = from.peer.Addr
	}
	long := longTask{begun: time.Now()}
	for _, ch := range srv.spareLasts(&long) {
		if l.bytes.Load() <= most {
			return
		}
		ch.order.Lock()
		dropped := l.drop(ch)
		ch.order.Unlock()
		if dropped {
			srv.limited(limitLatestBytes, addr, from)
		}
		if long.shouldYieldNow() {
			srv.bell.Wait()
		}
	}
}

// spareLasts are the channels that keep a message: first those to which nobody is
// subscribed, and of these the ones that have not been used for longest.
func (srv *Server) spareLasts(long *longTask) []*channel {
	type spare struct {
		ch   *channel
		used uint32
		busy int // patterns that have subscribers
	}
	var all []spare
	for _, ch := range srv.channels.lasts.matching("/**") {
		if long.shouldYield() {
			srv.bell.Wait()
		}
		_, busy := srv.channels.routeOf(ch).heard()
		ch.order.Lock()
		if ch.last != nil {
			all = append(all, spare{ch, ch.last.used, min(busy, 1)})
		}
		ch.order.Unlock()
	}
	slices.SortFunc(all, func(a, b spare) int { return cmp.Or(a.busy-b.busy, cmp.Compare(a.used, b.used)) })
	channels := make([]*channel, len(all))
	for i, x := range all {
		channels[i] = x.ch
	}
	return channels
}
