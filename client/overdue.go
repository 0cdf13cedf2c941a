package client

import (
	"time"

	"github.com/gocometd/cometd/bayeux"
)

// watch makes sure that somebody looks in d, if that is not zero, whether a
// reply stayed out. The caller holds l.mu.
func (l *link) watch(d time.Duration) {
	switch {
	case d <= 0 || l.closed:
	case l.overdue == nil:
		l.overdue = time.AfterFunc(d, l.expire)
		l.looksIn, l.looksAt = d, time.Now().Add(d)
	case d < l.looksIn && d < time.Until(l.looksAt): // the clock costs something: not for each of many alike
		l.overdue.Reset(d)
		l.looksIn, l.looksAt = d, time.Now().Add(d)
	}
}

// expire settles the requests whose replies stayed out. If lately nothing at all
// was heard over a stream, and not because the client itself stopped reading,
// the connection may be dead: the supervisor asks it. That is no Nudge, which says
// that this end was away or moves: a server that stalls for a moment would lose all
// clients that publish at once, and see them again at once. So the answer has
// time, and if it does not come, the pause is that after any break.
func (l *link) expire() {
	now, coming := time.Now(), l.in[laneOther].arrival.left(l.c.cfg.timeouts.NetworkDelay)
	result := max(coming, l.in[laneConnect].arrival.left(l.c.cfg.timeouts.NetworkDelay)) // of a call comes with any exchange
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.overdue = nil
	var late, hanging []*request
	var next time.Duration
	silent := false
	for _, r := range l.pending {
		if r.patience <= 0 {
			continue
		}
		left := l.patience(r) - now.Sub(r.sent)
		if left <= 0 {
			left = coming
			if r.call {
				left = result
			}
		}
		if left <= 0 {
			l.giveUp(r)
			if r.accepted {
				hanging = append(hanging, r)
			} else {
				late = append(late, r)
			}
			silent = silent || now.Sub(l.heard) > r.patience/2
		} else if next == 0 || left < next {
			next = left
		}
	}
	l.watch(next)
	l.mu.Unlock()
	for _, r := range hanging {
		l.c.failRequest(r, noResult(r))
	}
	l.c.giveBackAll(late, bayeux.ErrTimeout)
	if silent && l.conn != nil && !l.c.flow.paused() {
		l.c.doubt()
	}
}
