package client

import (
	"errors"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// strikes is how many failures in a row, of those that [strike] counts, end a
// session: refusals of the server's at once, others if they go on for longer than a
// connect can be held. What stands before a server that restarts, or that has too much
// to do, answers at once, and the session outlives that. One of which no connect was
// ever answered is not worth the time.
const strikes = 3

// A streak is failures in a row.
type streak struct {
	strikes int
	refused int       // of the strikes: by the server itself
	since   time.Time // the first failure, whatever it was
}

// strikesOut counts a failure of b over l, and reports whether the session is to blame
// by now.
func (c *Client) strikesOut(s *streak, l *link, b nextConnect, err error) bool {
	if s.since.IsZero() {
		s.since = time.Now()
	}
	if _, refused := refusalOf(err); refused {
		s.refused++
	}
	if s.refused >= strikes {
		return true
	}
	s.strikes += c.strike(s, l, b, err)
	return s.strikes >= strikes && (c.long(s) || !c.connected)
}

// long reports whether a streak goes on for longer than a connect can be held.
func (c *Client) long(s *streak) bool {
	return time.Since(s.since) > c.hold()+c.cfg.timeouts.NetworkDelay
}

// strike is how many strikes a failure of b over l counts: 1 if the session may be at
// fault (a refusal, an answer that makes no sense, silence over a connection that did
// open); as many as end it if exchanges have broken for longer than a connect can be
// held; else 0, for it is the network's fault, or Nudge had no patience.
func (c *Client) strike(s *streak, l *link, b nextConnect, err error) int {
	te, _ := errors.AsType[*transport.Error](err)
	_, refused := refusalOf(err)
	_, garbage := errors.AsType[*codec.Error](err)
	odd := te != nil && (te.Status != 0 || te.Reason == transport.BadPayload || te.Reason == transport.TooLarge)
	silent := l.conn != nil && l.fresh && !l.begun.Load() || l.conn == nil && errors.Is(err, bayeux.ErrTimeout)
	switch {
	case b.probe && errors.Is(err, bayeux.ErrTimeout) && !c.long(s):
		return 0
	case refused, garbage, odd, silent:
		return 1
	case l.conn == nil && !neverSent(err) && c.long(s):
		return strikes
	}
	return 0
}

// demote has the next handshake try other transports before l's, over which no
// connect of the session was ever answered: something between may let no more
// through than a stream's first messages.
func (c *Client) demote(l *link, err error) {
	if _, refused := refusalOf(err); !refused && l.conn != nil && !c.connected {
		c.demoted, c.demotedFor = l.typ(), err
	}
}

// reached reports whether a failed attempt shows that there is a server, or what
// stands before it, which took the connection: it said something, or nothing for
// too long. What is unreachable is the network's fault, and a session may outlive
// that.
func reached(err error) bool {
	if _, refused := refusalOf(err); refused {
		return true
	}
	for e := range failures(err) {
		asked := e.Op == "dial" && e.Reason == transport.Stalled // of an exchange nobody knows
		if asked || e.Status != 0 || e.Reason == transport.BadPayload || e.Reason == transport.TooLarge {
			return true
		}
	}
	return false
}
