package transporttest

import (
	"testing"

	"github.com/gocometd/cometd/transport"
)

// A Pair sets up a server end and gives back what dials it. The server calls
// serve for every Conn it accepts and ends the Conn when serve returns. Both
// ends read at most limit bytes per payload. What Pair starts, it ends in
// t.Cleanup.
type Pair func(t testing.TB, limit int, serve func(transport.Conn)) Dial

// Dial opens one Conn to the server end of a Pair.
type Dial = func() (transport.Conn, error)

// Run tests each promise of package transport's contract in a subtest named
// after it.
func Run(t *testing.T, pair Pair) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.test(t, pair) })
	}
}

var promises = []struct {
	name string
	test func(*testing.T, Pair)
}{
	{"payloads arrive in the order they were sent", inOrder},
	{"payloads of every size up to the limit arrive whole", everySize},
	{"a payload over the limit is ErrTooLarge and nothing more", tooLarge},
	{"what was not read of a payload is skipped", skipsUnread},
	{"a Once Conn carries one payload each way", onceEachWay},
	{"an exchange that is closed unanswered fails with a status", closedUnanswered},
	{"an end by Close never looks like a payload", closeReasons},
	{"Refuse tells the peer why", refuses},
	{"a lost peer ends Receive", lostPeer},
	{"Close frees a blocked Receive", closeFreesReceive},
	{"Close frees a blocked Send", closeFreesSend},
	{"Close may be called again and by many at once", closeAgain},
	{"nothing works after Close", deadAfterClose},
	{"Context is done when the Conn is", contextDone},
	{"Peer stays the same and says which kind of Conn it is", peerStays},
	{"Messages are free again after Send", messagesNotKept},
	{"Messages are shared and never changed", messagesNotChanged},
	{"one Conn's end is nobody else's", independent},
	{"Start sends or keeps, and is done once", starts},
}
