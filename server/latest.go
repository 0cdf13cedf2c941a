package server

import (
	"context"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
)

func (ch *channel) hasLast() bool {
	ch.order.Lock()
	defer ch.order.Unlock()
	return ch.last != nil
}

// subscribe lists sub, and queues the latest message for it if that is wanted;
// nothing comes between the two. It is false if ch has been swept meanwhile.
func (ch *channel) subscribe(sub *subscription, o ChannelOptions, w *wakes) (listed bool) {
	if !o.SendLast {
		ch.order.Lock()
		defer ch.order.Unlock()
		return ch.list(sub)
	}
	ch.withLast(sub.session, func(last *event) {
		if listed = ch.list(sub); listed && last != nil {
			sub.session.pushAlone(last, &o, w)
		}
	})
	return listed
}

// roundsForLast is how often the latest message is made for a session while others
// are published. What follows at once then is newer anyway.
const roundsForLast = 8

// withLast calls f with the latest message as s gets it, nil if there is none for
// it. Nothing is published meanwhile. What user code makes of the message for s it
// has made before, and again if another was published then.
func (ch *channel) withLast(s *Session, f func(*event)) {
	for round := 1; ; round++ {
		ch.order.Lock()
		last := ch.latest(s.srv)
		ch.order.Unlock()
		own := last
		if last != nil {
			own = s.srv.ownOf(context.Background(), s, ch.name, last)
		}
		ch.order.Lock()
		if ch.last == last || round == roundsForLast {
			defer ch.order.Unlock()
			f(own)
			return
		}
		ch.order.Unlock()
	}
}

// latest is the last message as one that has come just now: for how long it has
// been kept is no delay of the session that gets it. The caller holds order.
func (ch *channel) latest(srv *Server) *event {
	if e, now := ch.last, srv.sweeps.Load(); e != nil && e.born != now {
		ch.last = &event{text: e.text, channel: e.channel, lazy: e.lazy, born: now, of: e.counted()}
	}
	return ch.last
}

// sendLast queues the latest message for a session that is subscribed to a pattern
// which matches ch, unless the message came after that many joins, and so by the
// pattern. It is false if the session takes none any more.
func (ch *channel) sendLast(s *Session, joins uint64, o ChannelOptions, w *wakes) (takes bool) {
	ch.withLast(s, func(last *event) {
		takes = last == nil || ch.joins >= joins || s.pushAlone(last, &o, w)
	})
	return takes
}

// lasts are the channels that keep their latest message: who subscribes to a
// pattern need not look at all the others.
type lasts struct {
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
