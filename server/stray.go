package server

import "strconv"

// A client that polls gives a connect up when its connection breaks, and sends
// another. The first one may come all the same, after the second: a stray, whose
// answer nobody reads, and which must neither take events along nor the place of
// the connect that is held. Nothing on the wire tells it from others but its id:
// clients number their messages.

// numbers are the ids of a session's connects.
type numbers struct {
	last   uint64
	rising uint8 // so many in a row were greater than the one before, the handshake's included
}

// numbered is how many rising ids show that a client numbers its messages. One
// that does not, and has such ids by chance, is answered at once, once.
const numbered = 3

// note notes the id of a handshake or a connect, and reports whether it was
// overtaken: whether a later one has come before it. A client that begins to count
// again, as a page does that was loaded again, may have one connect taken for a
// stray.
func (n *numbers) note(id string) (overtaken bool) {
	number, err := strconv.ParseUint(id, 10, 64)
	switch {
	case err != nil:
		*n = numbers{}
	case number > n.last:
		n.last, n.rising = number, min(n.rising+1, numbered)
	case number == n.last: // sent again
	case n.rising == numbered:
		n.rising--
		return true
	default:
		n.last, n.rising = number, 1
	}
	return false
}
