package server

import (
	"net/http"
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// justNow is less than it takes a peer to have an answer and ask again: whose next
// request is there by then has not waited for it.
var justNow = 40 * time.Microsecond // a variable, because tests may be slower

// inARow is how many such requests in a row show that. Over a connection of a proxy,
// which carries many clients, one now and then comes so soon.
const inARow = 8

// longPause is how long a peer that has shown it asks nothing when it waits again.
// Less would not do: while garbage is collected a request of such a peer takes
// longer than justNow to come through net/http.
const longPause = time.Millisecond

// askers are the connections that were answered last, by the address of their peer,
// for net/http tells nothing else that all requests of one have. Where a middleware
// puts the client's address there, it is the client that asks, and a proxy that
// speaks HTTP/2 to us is one peer with all its clients. Who comes over a socket of
// Unix has no address, and is taken for nobody.
//
// A peer that does not wait for answers, or has hundreds of streams of HTTP/2, is
// like a socket that always has more: it would keep its processor, and everybody
// waiting whose bytes have just arrived (internal/lull). So its requests let others
// go first, one at a time.
type askers struct {
	mu   lock.Mutex[lock.Askers]
	last [256]sighting // the last of them, in turn
	next int
}

// A sighting is the end of a request, or the begin of a stream: hundreds of streams
// may begin before the first ends.
type sighting struct {
	remote string
	at     time.Time
	row    int
}

// enter returns when it is the turn of a request: the row'th that did not wait for
// an answer.
func (a *askers) enter(r *http.Request) (row int) {
	if nameless(r.RemoteAddr) {
		return 0
	}
	now := time.Now()
	a.mu.Lock()
	row = a.rowOf(r.RemoteAddr, now)
	if r.ProtoMajor > 1 {
		a.note(sighting{r.RemoteAddr, now, row})
	}
	a.mu.Unlock()
	if row >= inARow {
		giveWay()
	}
	return row
}

// rowOf is one more than that of the request before if the connection was answered
// just now, that one's if it has had enough of them in a row and no pause since,
// and else 0.
func (a *askers) rowOf(remote string, now time.Time) int {
	for i := range a.last {
		s := &a.last[(a.next-1-i+len(a.last))%len(a.last)]
		ago := now.Sub(s.at)
		switch {
		case ago >= max(longPause, justNow):
			return 0
		case s.remote != remote:
		case ago < justNow:
			return s.row + 1
		case s.row >= inARow:
			return s.row
		default:
			return 0
		}
	}
	return 0
}

// leave notes that a request was answered.
func (a *askers) leave(r *http.Request, row int) {
	if nameless(r.RemoteAddr) {
		return
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.note(sighting{r.RemoteAddr, now, row})
}

func (a *askers) note(s sighting) {
	a.last[a.next] = s
	a.next = (a.next + 1) % len(a.last)
}

// nameless is what all the connections over a socket of Unix are called alike.
func nameless(remote string) bool { return remote == "" || remote == "@" }
