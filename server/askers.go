package server

import (
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// A connection that asks again and again in no time is like a socket that always
// has more: its peer does not wait for answers, or has many streams of HTTP/2. It
// would keep its processor, and everybody waiting whose bytes have just arrived
// (internal/lull). So its requests let others go first, which costs some microseconds
// where nobody else has anything to do. Who asks every millisecond waits for nobody:
// the polls of a large audience, after one another, would carry smaller batches.
const lately = 300 * time.Microsecond // or up to twice that

// askers are the connections that have asked lately, by the address of their peer,
// for net/http tells nothing else that all requests of one have. Where a middleware
// puts the client's address there, it is the client that asks.
type askers struct {
	mu          lock.Mutex[lock.Askers]
	now, before map[string]struct{}
	turned      time.Time // when now was empty
}

// enter returns when it is the turn of a request.
func (a *askers) enter(remote string) {
	if a.again(remote, time.Now()) {
		giveWay()
	}
}

// again notes a request, and reports whether its connection has asked lately.
func (a *askers) again(remote string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now == nil {
		a.now, a.before = map[string]struct{}{}, map[string]struct{}{}
	}
	if d := now.Sub(a.turned); d >= lately {
		a.now, a.before = a.before, a.now
		if clear(a.now); d >= 2*lately {
			clear(a.before)
		}
		a.turned = now
	}
	_, again := a.now[remote]
	if !again {
		_, again = a.before[remote]
		a.now[remote] = struct{}{}
	}
	return again
}
