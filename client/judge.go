package client

import (
	"errors"
	"iter"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

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
	case unauthorized(e) && c.cfg.tokenSource != nil, errors.Is(e, bayeux.ErrUnknownSession) && !e.Advice.ShouldStop():
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
	case a.ShouldStop():
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
