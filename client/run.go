package client

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/negotiation"
	"github.com/gocometd/cometd/transport"
)

// A supervisor is the client's one goroutine that decides: it handshakes, keeps
// the connect going, pauses, and ends. So there is never a second handshake or
// a second connect under way. Its fields are for that goroutine alone.
type supervisor struct {
	dialers       map[string]transport.Dialer
	types         []string // of the dialers, the preferred one first
	plan          negotiation.Plan
	backoff       backoff
	advice        *bayeux.Advice // of the session; nil: all defaults
	workingSince  time.Time      // the first connect over this connection was answered; zero: none was
	workedFor     time.Duration  // from then until a connect was answered, or it broke
	lastAnswer    time.Time      // the last good answer to a connect, or the handshake's
	dialDeadline  time.Time      // when who waits in Dial gives up
	connected     bool           // a connect of the session was answered
	demoted       string         // a type that opened, and then carried no connect
	demotedFor    error
	tokens        inquiry[AccessToken]
	exts          inquiry[bayeux.Ext]
	lesser        error           // why a lesser transport is in use
	quickConnects int             // connects that were answered too soon, in a row
	hadSession    bool            // there was a session
	gapTold       bool            // the session's connection is broken, and its gap told
	receivedAtGap uint64          // how much had been received then
	kept          *link           // a stream that was left open for the next handshake
	excluded      map[string]bool // types that were offered and that the server's list leaves out
}

// run is the supervisor. It returns after Close, or a final refusal.
func (c *Client) run() {
	v := verdict{next: rehandshake}
	for v.next != stop {
		l, err := c.handshake(v.err)
		c.dialDeadline = time.Time{} // nobody waits for a second attempt
		if err != nil {
			v = c.judgeHandshake(err)
		} else {
			v = c.keep(l)
		}
		if v.next == rehandshake && err == nil {
			c.outbox.shutOrdinary()
			c.setSession("")
			c.unsubscribed()
			c.step(bayeux.SessionLost, c.change().Transport, v.err)
		}
		if c.ctx.Err() != nil {
			v.next = stop
		}
		if v.next != stop {
			v = c.beforeNext(v)
		}
	}
	c.dismissKept(v.err)
	if v.err != nil && c.ctx.Err() == nil {
		c.hub.Tell(Failure{v.err})
	}
	c.finish(v.err)
}

// beforeNext pauses between sessions: not at all after one that lasted, and less
// the time that it worked after one that did not, so that handshakes are as far
// apart as backoff says however sessions end.
func (c *Client) beforeNext(v verdict) verdict {
	c.fail(v.err)
	pause := v.pause
	switch {
	case v.rested:
	case c.workedFor >= c.backoff.lasting():
		c.backoff.reset()
	case c.spent() && !c.ofSubscribe(v.err):
		return c.giveUp(v.err)
	default:
		pause = max(pause, c.backoff.next()-c.workedFor)
	}
	c.forgetWorked()
	if pause > 0 {
		c.dismissKept(v.err) // servers do not bear a stream without a session for long
	}
	if !c.sleep(pause) {
		return verdict{next: stop}
	}
	return v
}

// spent reports whether WithMaxRetries allows no further attempt.
func (c *Client) spent() bool {
	return c.cfg.maxRetries > 0 && c.backoff.failures >= c.cfg.maxRetries
}

// ofSubscribe reports whether err, which ended the session, is the refusal of a
// subscribe, whose attempts are counted for its channel: it ends a subscription, and
// not the client. That the session is gone may be true.
func (c *Client) ofSubscribe(err error) bool {
	e, refused := refusalOf(err)
	if !refused || e.Channel != bayeux.MetaSubscribe {
		return false
	}
	return !errors.Is(e, bayeux.ErrUnknownSession) || slices.ContainsFunc(c.outbox.waiting(isRenewal), c.goneAlone)
}

func (c *Client) giveUp(err error) verdict {
	return verdict{next: stop, err: fmt.Errorf("client: gave up after %d attempts: %w", c.backoff.failures+1, err)}
}

// fail tells everybody of a failure that the client survives.
func (c *Client) fail(err error) {
	c.setFailure(err)
	select {
	case c.tried <- err:
	default:
	}
	c.hub.Tell(Failure{err})
}

// sleep pauses for d, or until Nudge. It returns false when the client closes.
func (c *Client) sleep(d time.Duration) bool {
	if d <= 0 {
		return c.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.nudged:
	case <-c.ctx.Done():
		return false
	}
	return true
}

// endState moves the state to its end.
func (c *Client) endState(why error) {
	e := bayeux.Refused
	if why == nil {
		e = bayeux.DisconnectOK
		if c.State() == bayeux.Disconnected || c.State() == bayeux.Handshaking {
			c.step(bayeux.DisconnectSent, c.change().Transport, nil)
		}
	}
	if c.State() != bayeux.Stopped {
		c.step(e, c.change().Transport, why)
	}
}
