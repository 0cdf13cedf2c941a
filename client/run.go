package client

import (
	"errors"
	"fmt"
	"iter"
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

// A verdict is what to do next, and why.
type verdict struct {
	next   next
	err    error
	pause  time.Duration // at least, before it is done
	rested bool          // a pause was made just before it came out
}

type next int8

const (
	connectAgain next = iota // the next connect
	reconnect                // a connect on a new connection
	rehandshake              // a handshake
	stop                     // nothing: it is over
)

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
	case c.spent():
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

// judge says what follows from the outcome of a connect: m if err is nil.
func (c *Client) judge(m *bayeux.Message, err error) verdict {
	if c.ctx.Err() != nil {
		return verdict{next: stop}
	}
	if err == nil {
		if m.Advice != nil {
			c.advice = m.Advice
		}
		return c.follow(m.Advice, verdict{next: connectAgain})
	}
	v := verdict{next: reconnect, err: err, pause: retryAfter(err)}
	switch e, refused := refusalOf(err); {
	case errors.Is(err, errKicked):
		return c.none(v)
	case errors.Is(err, transport.ErrUnauthorized):
		v.next = rehandshake
	case refused:
		return c.judgeRefusal(e, v)
	}
	return v
}

// retryAfter is the longest pause that a transport's error asks for, at most an
// hour, as with an advice.
func retryAfter(err error) (pause time.Duration) {
	for e := range failures(err) {
		pause = max(pause, e.RetryAfter)
	}
	return min(pause, time.Hour)
}

// failures is every transport's error that err is made of: where several
// transports were tried, each has its own.
func failures(err error) iter.Seq[*transport.Error] {
	return func(yield func(*transport.Error) bool) { eachFailure(err, yield) }
}

func eachFailure(err error, yield func(*transport.Error) bool) bool {
	switch e := err.(type) { //nolint:errorlint // it goes down the tree by itself
	case *transport.Error:
		return yield(e) && eachFailure(e.Err, yield)
	case interface{ Unwrap() error }:
		return eachFailure(e.Unwrap(), yield)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if !eachFailure(err, yield) {
				return false
			}
		}
	}
	return true
}

// judgeRefusal is for a failed reply of the connect loop.
func (c *Client) judgeRefusal(e *bayeux.Error, v verdict) verdict {
	if e.Advice != nil {
		c.advice = e.Advice
	}
	v.pause = interval(e.Advice)
	switch {
	case unauthorized(e) && c.cfg.tokenSource != nil, errors.Is(e, bayeux.ErrUnknownSession) && !isNone(e.Advice):
		v.next = rehandshake
		return v
	case c.cfg.maxRetries > 0 && !asksAgain(e.Advice): // as with none; see WithMaxRetries
		return c.none(v)
	}
	return c.follow(e.Advice, v)
}

// judgeHandshake says what follows from a failed handshake: another, unless
// that is final.
func (c *Client) judgeHandshake(err error) verdict {
	if c.ctx.Err() != nil {
		return verdict{next: stop}
	}
	if errors.Is(err, ErrNoTransport) {
		return verdict{next: stop, err: err}
	}
	c.step(bayeux.ConnectionLost, c.change().Transport, err)
	v := c.judge(nil, err)
	if v.next != stop {
		v.next = rehandshake
	}
	return v
}

// follow obeys an advice, which may be missing; v is what to do without one.
func (c *Client) follow(a *bayeux.Advice, v verdict) verdict {
	switch {
	case a.ShouldHandshake():
		v.next = rehandshake
	case isNone(a):
		v = c.none(v)
	}
	if v.next == rehandshake && v.err == nil {
		v.err = errors.New("client: the server advised a new handshake")
	}
	return v
}

// none obeys the advice to stop, or what stands for it.
func (c *Client) none(v verdict) verdict {
	if v.next = stop; c.cfg.rehandshake {
		v.next = rehandshake
	}
	if v.err == nil {
		v.err = errKicked
	}
	return v
}

// isNone is stricter than ShouldStop: an advice that nobody knows is not final.
func isNone(a *bayeux.Advice) bool { return a != nil && a.Reconnect == bayeux.NoReconnect }

// unauthorized sees a 401 also where Salesforce puts it (docs/protocol.md §17).
func unauthorized(e *bayeux.Error) bool {
	var sfdc struct{ FailureReason string }
	if ok, err := e.Ext.Decode("sfdc", &sfdc); ok && err == nil {
		inner := bayeux.ParseError(e.Channel, sfdc.FailureReason)
		if inner.Code == 401 || inner.Code == 403 {
			return true
		}
	}
	return errors.Is(e, bayeux.ErrUnauthorized)
}
