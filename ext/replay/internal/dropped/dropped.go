// Package dropped is what a store still knows of channels that it knows nothing
// more of, because all their messages are gone: who asks for what was there must
// be told of a gap, and not find a channel that never had anything.
package dropped

import (
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
)

// Kept is how many empty channels a store remembers one by one. Beyond it those
// of one rule are one: who goes on from before the last of them is told of a gap
// although it may have missed nothing.
const Kept = 10_000

// Marks has for the pattern of a rule the largest id that is gone from a channel
// that was dropped under it.
type Marks map[string]replay.ID

// Note drops a channel.
func (m Marks) Note(pattern string, gone replay.ID) { m[pattern] = max(m[pattern], gone) }

// Over is the largest id that may be gone from a dropped channel that ch, a
// channel or a pattern, matches; 0 if there is none.
func (m Marks) Over(ch string) (gone replay.ID) {
	for pattern, id := range m {
		if meet(bayeux.Channel(pattern), bayeux.Channel(ch)) {
			gone = max(gone, id)
		}
	}
	return gone
}

// meet reports whether a channel may match both: of two patterns that share one,
// one covers the other.
func meet(a, b bayeux.Channel) bool { return a.Covers(string(b)) || b.Covers(string(a)) }
