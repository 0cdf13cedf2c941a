package server

import (
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// justNow is less than it takes a peer to have an answer and ask again: whose next
// request is there by then has not waited for it.
var justNow = 40 * time.Microsecond // a variable, because tests may be slower

// inARow is how many such requests in a row show that. Over a connection of a proxy,
// which carries many clients, one now and then comes so soon.
const inARow = 8

// pause is how long a peer that has shown it asks nothing when it waits again.
// Less would not do: while garbage is collected a request of such a peer takes
// longer than justNow to come through net/http.
const pause = time.Millisecond

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
	left [256]departure // the last of them, in turn
	next int
}

// A departure is the end of a request.
type departure struct {
	remote string
	at     time.Time
	row    int
}

// enter returns when it is the turn of a request: the row'th that did not wait for
// an answer.
func (a *askers) enter(remote string) (row int) {
	if nameless(remote) {
		return 0
	}
	if row = a.rowOf(remote, time.Now()); row >= inARow {
		giveWay()
	}
	return row
}

// rowOf is one more than that of the request before if the connection was answered
// just now, that one's if it has had enough of them in a row and no pause since,
// and else 0.
func (a *askers) rowOf(remote string, now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.left {
		d := &a.left[(a.next-1-i+len(a.left))%len(a.left)]
		ago := now.Sub(d.at)
		switch {
		case ago >= max(pause, justNow):
			return 0
		case d.remote != remote:
		case ago < justNow:
			return d.row + 1
		case d.row >= inARow:
			return d.row
		default:
			return 0
		}
	}
	return 0
}

// nameless is what all the connections over a socket of Unix are called alike.
func nameless(remote string) bool { return remote == "" || remote == "@" }

// leave notes that a request was answered.
func (a *askers) leave(remote string, row int) {
	if nameless(remote) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left[a.next] = departure{remote, time.Now(), row}
	a.next = (a.next + 1) % len(a.left)
}
