package server

import (
	"time"

	"github.com/gocometd/cometd/internal/clock"
)

// A polling client has two requests on their way at once: its connect, and one
// for all else. Nothing orders their answers, so events that leave on both
// could be read in the wrong order. Events therefore leave with connects, and
// with another answer only if its request has brought some of them: a publisher's
// echo, a subscriber's latest value, what a handler sends. And they stay on one
// lane until its last answer is known to have been read, which the next request
// on that lane shows. A client whose connect is already held may send no other
// request for long; for it the answer counts as read after laneGuard.
type lane int8

const (
	laneNone lane = iota
	laneConnect
	laneOther
)

// laneGuard is far longer than two answers written one after the other can be
// apart on their way, and short enough for a person not to notice.
const laneGuard = 100 * time.Millisecond

// seen notes a request: the answer before it on its lane has been read. The
// caller holds mu.
func (s *Session) seen(on lane) {
	if s.lane == on {
		s.lane = laneNone
	}
}

// laneFree returns how long events must wait before they leave on a lane. The
// caller holds mu.
func (s *Session) laneFree(on lane) time.Duration {
	switch {
	case s.lane == laneNone || s.lane == on:
		return 0
	case on == laneOther:
		return laneGuard // the next connect, which is due, takes them
	default:
		return laneGuard - (clock.Now() - s.laneAt)
	}
}
