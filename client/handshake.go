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

// handshake makes a new session and returns its link. It is one attempt: each
// transport is tried once, in the plan's order. why is what ended the last one.
func (c *Client) handshake(why error) (*link, error) {
	c.outbox.shutOrdinary()
	c.setSession("")
	types := c.offer()
	c.step(bayeux.HandshakeSent, types[0], why)
	if c.kept != nil && c.kept.typ() != types[0] {
		c.dismissKept(why)
	}
	if c.kept == nil && c.backoff.failures > 1 {
		c.end.forgetCookies() // cookies of a dead node may be what keeps us out
	}
	return c.handshakeOver(types, nil)
}

// offer is the types to try, in order; never none. What is demoted comes last.
func (c *Client) offer() []string {
	types := c.plan.Offer(time.Now())
	if len(types) == 0 {
		types = c.types
	}
	if i := slices.Index(types, c.demoted); i >= 0 {
		types = append(slices.Delete(slices.Clone(types), i, i+1), c.demoted)
	}
	return types
}

// handshakeOver tries the transports in turn until one lets a handshake
// through, or the server refuses it. lesser is why a better one is not among
// them.
func (c *Client) handshakeOver(types []string, lesser error) (*link, error) {
	if err := c.authorize(); err != nil {
		return nil, err
	}
	var failures []error
	for i, typ := range types {
		l, m, err := c.handshakeOn(typ, types[i:])
		if err == nil {
			for j, failed := range types[:i] {
				c.plan = c.plan.Failed(failed, time.Now(), errors.Is(failures[j], transport.ErrUnsupported))
			}
			if c.demoted != "" && c.demoted != typ {
				c.plan = c.plan.Failed(c.demoted, time.Now(), false)
				lesser = errors.Join(lesser, c.demotedFor)
			}
			c.demoted, c.demotedFor = "", nil
			c.lesser = errors.Join(lesser, errors.Join(failures...))
			return c.startSession(l, m, types[i:])
		}
		if _, refused := refusalOf(err); refused || c.ctx.Err() != nil {
			return nil, err
		}
		c.cfg.log.Warn("transport failed", "transport", typ, "err", err)
		failures = append(failures, err)
		c.setFailure(errors.Join(failures...)) // who waits may run out of time in the next one
	}
	return nil, errors.Join(failures...)
}

// share is how long a transport may take to open: where lesser ones could do
// instead a third of the time there is, so that these have theirs.
func (c *Client) share(lesser bool) time.Duration {
	d := c.cfg.timeouts.Open
	if left := time.Until(c.dialDeadline); left > 0 {
		d = min(d, left)
	}
	if lesser {
		d /= 3
	}
	return d
}

// handshakeOn handshakes over one transport, offering the given types: over the stream
// of that type that was left open, and if there is none, or it fails, over a new
// connection.
func (c *Client) handshakeOn(typ string, offered []string) (*link, *bayeux.Message, error) {
	lesser := len(offered) > 1
	if l := c.takeKept(typ); l != nil {
		m, err := c.sendHandshake(l, offered, c.limit(c.share(lesser), lesser))
		if err == nil {
			return l, m, nil
		}
		again := c.mendable(l, err)
		if l.close(err); !again {
			return nil, nil, err
		}
	}
	share := c.share(lesser)
	by := c.limit(share, lesser)
	l, err := c.open(c.dialers[typ], share)
	if err != nil {
		return nil, nil, err
	}
	m, err := c.sendHandshake(l, offered, by)
	if err != nil {
		l.close(err)
		return nil, nil, err
	}
	return l, m, nil
}

// limit is by when a handshake must have its reply, beside Timeouts.NetworkDelay;
// zero: that is all. A transport that is not the last to try has its share for
// both, opening and handshake: something between may let an upgrade through and
// swallow what follows.
func (c *Client) limit(share time.Duration, lesser bool) (by time.Time) {
	if lesser {
		by = time.Now().Add(share)
	}
	return by
}

// sendHandshake handshakes over l.
func (c *Client) sendHandshake(l *link, offered []string, by time.Time) (*bayeux.Message, error) {
	m, err := c.handshakeRequest(offered)
	if err == nil {
		patience := c.cfg.timeouts.NetworkDelay
		if !by.IsZero() {
			patience = min(patience, time.Until(by))
		}
		m, err = c.supervise(l, m, transport.Handshake, patience)
	}
	if err == nil && m.ClientID == "" {
		err = fmt.Errorf("client: handshake reply without a clientId over %s", l.typ())
	}
	if err != nil {
		return nil, err
	}
	if announced(m) > 0 && l.conn != nil { // an exchange's answer is whole
		c.await(l.complete, l, c.cfg.timeouts.NetworkDelay)
	}
	return m, nil
}

// await waits for done, in vain if l breaks, for as long as patience allows.
func (c *Client) await(done <-chan struct{}, l *link, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if more := c.flow.grace(patience); more > 0 {
				timer.Reset(more)
				continue
			}
		case <-done:
		case <-l.ctx.Done():
		case <-c.ctx.Done():
		}
		return
	}
}

func (c *Client) handshakeRequest(offered []string) (*bayeux.Message, error) {
	m, err := bayeux.NewHandshake(offered...)
	if err != nil {
		return nil, err
	}
	ext, err := c.handshakeExt()
	if err != nil {
		return nil, err
	}
	return m, c.end.addExt(m, ext)
}

// startSession starts the session that m, the handshake's reply over l, has made. If
// the server does not take further messages over l's transport, the session
// moves, or is made again where it cannot move (docs/protocol.md §7).
func (c *Client) startSession(l *link, m *bayeux.Message, offered []string) (*link, error) {
	c.noteServerTypes(offered, m.SupportedConnectionTypes)
	typ, ok := choose(l.typ(), offered, m.SupportedConnectionTypes)
	switch {
	case !ok:
		err := fmt.Errorf("%w: ours are %q, the server's %q", ErrNoTransport, offered, m.SupportedConnectionTypes)
		l.close(err)
		return nil, err
	case typ != l.typ() && l.conn != nil:
		l.close(nil)
		return c.handshakeOver([]string{typ}, c.lesser)
	case typ != l.typ():
		l.close(nil)
		var err error
		if l, err = c.open(c.dialers[typ], c.cfg.timeouts.Open); err != nil {
			return nil, err
		}
	}
	c.plan = c.plan.Opened(typ, time.Now())
	alive := c.lastAnswer
	c.advice, c.lastAnswer, c.connected = m.Advice, time.Now(), false
	c.forgetWorked()
	c.setSession("")
	c.cfg.sessionBegins(m.ClientID)
	if c.hadSession {
		c.renew(alive)
	}
	c.hadSession = true
	c.setSession(m.ClientID)
	if c.State() != bayeux.Handshaking {
		c.step(bayeux.HandshakeSent, typ, c.lesser) // instead of resuming the old session
	}
	c.step(bayeux.HandshakeOK, typ, c.lesser)
	c.outbox.oneByOne(false)
	c.outbox.openOrdinary()
	return l, nil
}

var errOver = errors.New("the session is over")

// renew takes the subscriptions over into a new session. The old one was alive
// then; who has told since that it is not was heard too, but is no part of it.
func (c *Client) renew(alive time.Time) {
	if c.cfg.forget {
		for _, t := range c.topics.accepted() {
			for _, s := range t.subs {
				s.fail(lost(t.channel, errOver), true)
			}
		}
		c.markGapSince(alive, transport.Expired, true) // to those that listen
		return
	}
	c.markGapSince(alive, transport.Expired, true)
	c.resubscribe()
}

// choose keeps typ, over which the handshake went, unless the server says that
// it takes only others. A transport that is not of the protocol's own is
// never in a server's list.
func choose(typ string, offered, theirs []string) (string, bool) {
	if takes(theirs, typ) {
		return typ, true
	}
	return negotiation.Choose(offered, theirs)
}

// takes reports whether a server with this list takes messages over typ.
func takes(theirs []string, typ string) bool {
	standard := []string{bayeux.WebSocket, bayeux.LongPolling, bayeux.CallbackPolling}
	return len(theirs) == 0 || slices.Contains(theirs, typ) || !slices.Contains(standard, typ)
}

// noteServerTypes remembers which of the client's types the server does not take. Of a type
// that was not offered a list says nothing that leaves it out: some servers name
// only what both have.
func (c *Client) noteServerTypes(offered, theirs []string) {
	for _, typ := range c.types {
		if takes(theirs, typ) {
			delete(c.excluded, typ)
		} else if slices.Contains(offered, typ) {
			c.excluded[typ] = true
		}
	}
}
