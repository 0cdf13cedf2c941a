package client

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// restore brings the session back after its connection broke: a pause, then a
// new connection of the same transport. If that cannot be had the others are
// asked for a new session, while the old one is kept in mind: it may still be
// there when its own transport is. The verdict is reconnect while there is a link; it
// is rehandshake when no server can have the session any more, and another one may be
// better, to whom no cookie of the session leads.
//
// v is what broke it, and s the failures in a row to which that belongs and others are
// added. The first attempt is made without a pause if somebody is in a hurry: Nudge
// has found the break.
func (c *Client) restore(l *link, v verdict, s *streak, hurry bool) (*link, verdict) {
	c.outbox.shutOrdinary()
	c.step(bayeux.ConnectionLost, l.typ(), v.err)
	worked, heard := c.workedFor, c.lastHeard() // an exchange may still bring something in the pause
	if worked >= c.backoff.lasting() {
		c.backoff.reset()
	}
	due, appointed := c.appointed()
	c.forgetWorked()
	var other otherSession
	for tries := 1; ; tries++ {
		c.fail(v.err)
		if tries > 1 {
			c.cfg.log.Warn("still no connection", "transport", l.typ(), "err", v.err)
		}
		if l.conn != nil {
			l.close(v.err)
		}
		if c.spent() {
			l.close(v.err)
			return nil, c.giveUp(v.err)
		}
		pause := max(c.backoff.nextAfter(worked), v.pause, interval(c.advice))
		worked = 0
		switch {
		case tries > 1:
		case hurry:
			pause = 0
		case appointed:
			pause = max(due, v.pause)
		}
		if !c.sleep(pause) {
			return nil, c.leave(l)
		}
		c.tellBreak(l, v.err, heard)
		if why := c.hopeless(s, &other, v.err); why != nil {
			l.close(v.err)
			return nil, verdict{next: rehandshake, rested: true, err: why}
		}
		if l.conn == nil {
			return l, v
		}
		err := c.reauthorize(v.err)
		if err == nil {
			if l, err = c.reopen(l, tries, other.asked()); err == nil {
				return l, verdict{next: reconnect}
			}
		}
		if reached(err) {
			s.strikes++
		}
		v = verdict{next: reconnect, err: err, pause: retryAfter(err)}
		if e, refused := refusalOf(err); refused {
			other.noteRefusal(c.judgeOther(e))
		}
	}
}

// hopeless is why the session is given up for a new one, if it is, after the failure
// last: the server has dropped it by now, or the way to it leads nowhere.
func (c *Client) hopeless(s *streak, other *otherSession, last error) error {
	switch {
	case c.expired():
		return fmt.Errorf("client: longer away than the server keeps a session: %w", last)
	case (s.strikes >= strikes || other.final) && c.long(s):
		return last
	}
	return nil
}

// An otherSession is a new session that was asked for over other transports, while the
// old one is kept in mind. What a server says to that is about the new one only:
// the old one's own connection is tried on.
type otherSession struct {
	final bool      // it was refused for good
	after time.Time // it is not asked for again before
}

func (s *otherSession) asked() bool { return !s.final && !time.Now().Before(s.after) }

func (s *otherSession) noteRefusal(v verdict) {
	s.final = v.next == stop
	s.after = time.Now().Add(v.pause)
}

func (c *Client) judgeOther(e *bayeux.Error) verdict {
	advice := c.advice
	v := c.judgeRefusal(e, verdict{next: reconnect, err: e})
	c.advice = advice // the refusal's is not the session's
	return v
}

// tellBreak tells the gap of a break, since from, unless it has been told and
// nothing has come since that may have had more behind it. No answer was on its way
// to an exchange that never was.
func (c *Client) tellBreak(l *link, err error, from time.Time) {
	heard := c.count.received.Load()
	told := c.gapTold && heard == c.receivedAtGap
	if told || l.conn == nil && neverSent(err) {
		return
	}
	c.gapTold, c.receivedAtGap = true, heard
	c.markGapSince(from, transport.ReasonOf(err), false)
}

// reauthorize asks for a new token if the last failure was a 401.
func (c *Client) reauthorize(last error) error {
	if !errors.Is(last, transport.ErrUnauthorized) {
		return nil
	}
	return c.authorize()
}

// reopen dials l's transport again, and failing that, at once or for the second
// time, makes a new session over the others, if they may be asked.
func (c *Client) reopen(l *link, tries int, ask bool) (*link, error) {
	others := slices.DeleteFunc(slices.Clone(c.offer()), func(typ string) bool { return typ == l.typ() })
	next, err := c.open(l.dialer, c.share(len(others) > 0))
	if err == nil {
		next.fresh = true
		return next, nil
	}
	if c.ctx.Err() != nil || tries < 2 && !errors.Is(err, transport.ErrUnsupported) {
		return l, err
	}
	if len(others) == 0 || !ask {
		return l, err
	}
	next, otherErr := c.handshakeOver(others, err)
	if otherErr != nil {
		return l, errors.Join(err, otherErr)
	}
	c.plan = c.plan.Failed(l.typ(), time.Now(), errors.Is(err, transport.ErrUnsupported))
	return next, nil
}

// upgradePatience is short because no connect is held meanwhile, and the session
// must not expire for it.
const upgradePatience = 3 * time.Second

// upgrade moves the session from exchanges to a better transport, when it is
// time to try and that opens. It is called between two connects, so nothing is
// on its way that could be overtaken but ordinary requests, which it awaits; with
// one that is slow, or a call whose result may come with any exchange, it stays.
func (c *Client) upgrade(l *link) *link {
	if l.conn != nil {
		return l
	}
	typ, ok := c.better(l.typ())
	if !ok || l.awaitsResult() {
		return l
	}
	credential := c.end.authorization()
	conn, err := c.dial(c.dialers[typ], min(c.cfg.timeouts.Open, upgradePatience))
	if err != nil {
		c.plan = c.plan.Failed(typ, time.Now(), errors.Is(err, transport.ErrUnsupported))
		c.lesser = err
		return l
	}
	c.outbox.shutOrdinary()
	if !l.settleDown(upgradePatience) {
		conn.Close(transport.Normal)
		c.plan = c.plan.Failed(typ, time.Now(), true) // not with the next connect again
		c.releaseRequests()
		return l
	}
	l.close(nil)
	c.outbox.oneByOne(false)
	next := c.link(c.dialers[typ], conn) // not before: its writer would overtake an exchange
	next.fresh, next.instead, next.credential = true, l.dialer, credential
	c.plan, c.lesser = c.plan.Opened(typ, time.Now()), nil
	return next
}

// better is the type to move to from typ, if it is time and the server takes it.
// What it does not take stays in the plan: the next session's server may.
func (c *Client) better(typ string) (string, bool) {
	plan := c.plan
	for {
		to, ok := plan.Better(typ, time.Now())
		if !ok || !c.excluded[to] {
			return to, ok
		}
		plan = plan.Failed(to, time.Now(), true)
	}
}

// goBack returns to the exchanges that l, a stream, was to be better than, because
// no connect was answered over it: something between may let an upgrade through and
// swallow what follows. The session is the same; what was on its way may be lost.
func (c *Client) goBack(l *link, why error) (*link, error) {
	c.outbox.shutOrdinary()
	c.step(bayeux.ConnectionLost, l.typ(), why)
	c.cfg.log.Warn("no answer over the better transport, going back", "transport", l.typ(), "err", why)
	l.close(why)
	c.tellBreak(l, why, c.lastHeard())
	c.plan, c.lesser = c.plan.Failed(l.typ(), time.Now(), true).Opened(l.instead.Type(), time.Now()), why
	return c.open(l.instead, c.cfg.timeouts.Open)
}

// leave disconnects: the client closes.
func (c *Client) leave(l *link) verdict {
	defer l.close(ErrClosed)
	v := verdict{next: stop}
	if c.ID() == "" || l.ctx.Err() != nil || c.State() == bayeux.Stopped {
		return v
	}
	c.step(bayeux.DisconnectSent, l.typ(), nil)
	r := c.newRequest(c.ctx, &bayeux.Message{Channel: bayeux.MetaDisconnect}, transport.Disconnect)
	answers := r.replies()
	for _, r := range c.outbox.clear(func(*request) bool { return true }) {
		c.settle(r, nil, ErrClosed)
	}
	c.asking.Add(1)
	c.outbox.openOrdinary()
	if !c.outbox.put(laneOther, r) {
		c.settle(r, nil, ErrClosed)
	}
	half, over := time.After(c.cfg.timeouts.Close/2), time.After(c.cfg.timeouts.Close)
	for {
		select {
		case <-half:
			l.wg.Go(func() { l.overtake(r) })
		case <-answers:
			return v
		case <-over:
			return v
		case <-l.ctx.Done():
			return v
		}
	}
}

// overtake sends r, a disconnect, in an exchange of its own if others of the ordinary
// lane are not answered.
func (l *link) overtake(r *request) {
	if l.conn == nil && l.c.outbox.remove(r) {
		l.carry(new(writer), newReader(l), nil, []*request{r})
	}
}
