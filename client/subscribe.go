package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// join registers s, so that no event is too early for it, and asks the server
// for those of its channels that nobody has yet.
func (c *Client) join(ctx context.Context, s *Subscription) error {
	for pause := (backoff{min: c.cfg.backoff[0], max: c.cfg.backoff[1]}); ; {
		session, never, err := c.ask(ctx, s)
		if err == nil {
			return nil
		}
		e, refused := refusalOf(err)
		if refused && len(s.channels) == 1 {
			never = s.channels
		}
		s.leave(never...)
		if !refused || !asksAgain(e.Advice) || c.exhausted(&pause) {
			s.end(err, false)
			return err
		}
		if e.Advice.ShouldHandshake() {
			c.lose(session, err)
		}
		select { // an extension or the server wants it asked again
		case <-time.After(max(pause.next(), interval(e.Advice))):
		case <-ctx.Done():
			s.end(err, false)
			return err
		case <-c.ctx.Done():
			return c.closedErr()
		}
		s.forget()
	}
}

// exhausted reports whether WithMaxRetries allows a subscribe no further attempt.
func (c *Client) exhausted(pause *backoff) bool {
	return c.cfg.maxRetries > 0 && pause.failures >= c.cfg.maxRetries
}

// ask sends one subscribe, if one is needed, and waits for its reply. session is
// where it was answered. If it never was, for what it does to the server, never has
// its channels: the server may fail over an unsubscribe of them, too.
func (c *Client) ask(ctx context.Context, s *Subscription) (session string, never []string, err error) {
	r := c.newRequest(ctx, &bayeux.Message{Channel: bayeux.MetaSubscribe}, transport.Subscribe)
	r.tries = endless
	if err := c.admit(ctx, r); err != nil {
		return "", nil, err
	}
	answers := r.replies()
	settled, overran := r.settled, false
	r.settled = func(m *bayeux.Message, err error) {
		if err == nil && overran {
			s.miss(s.forget(), r.sent)
		}
		s.queue.early.Store(false)
		settled(m, err)
	}
	s.queue.early.Store(true)
	wanted := false
	err = c.register(ctx, s, &overran, func(channels []string) {
		wanted = true
		c.subscribing(r, channels, s.ext)
		if !c.outbox.put(laneOther, r) {
			c.settle(r, nil, c.closedErr())
		}
	})
	if !wanted {
		c.settle(r, nil, err)
	}
	c.flow.signal()
	select {
	case a := <-answers:
		if r.breaks.count() >= maxBreaks {
			never = r.m.Subscription.Channels
		}
		return r.session, never, a.err
	case <-ctx.Done():
		c.withdraw(r, ctx.Err())
		return "", nil, ctx.Err()
	}
}

// register adds s to the topics, when no unsubscribe of its channels is under way
// any more. One that has no answer within Timeouts.NetworkDelay is given up: sent
// again it would end what s is about to ask for; the channels that it has beside
// those of s are left anew. overran is set then, before s hears anything: the server
// may still be about to take it.
func (c *Client) register(ctx context.Context, s *Subscription, overran *bool, send func(channels []string)) error {
	var patience <-chan time.Time
	for {
		added, left := c.topics.add(s, c.ID(), !*overran, send)
		switch {
		case added:
			return nil
		case left == nil:
			return c.closedErr()
		case patience == nil:
			patience = time.After(c.cfg.timeouts.NetworkDelay)
		}
		select {
		case <-left:
		case <-patience:
			*overran = true
			for _, d := range c.topics.leavingAny(s.channels) {
				c.withdraw(d.request, lost(bayeux.MetaUnsubscribe, bayeux.ErrTimeout))
				c.topics.unwanted(d.request.m.Subscription.Channels, s.channels, func(rest []string) { c.unsubscribe(rest) })
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return c.closedErr()
		}
	}
}

// subscribing fills in r, and what its acceptance changes.
func (c *Client) subscribing(r *request, channels []string, ext bayeux.Ext) {
	r.m.Subscription = bayeux.Subscription{Channels: channels, List: len(channels) > 1}
	r.m.Ext = ext
	settled := r.settled
	r.settled = func(m *bayeux.Message, err error) {
		if err == nil {
			c.topics.accept(r.session, r.sent, channels)
		}
		settled(m, err)
	}
}

// leave takes s out of the topics, and returns what will hold the server's
// reply; nil if it need not be told, as of what it never took.
func (s *Subscription) leave(never ...string) (answers <-chan answer) {
	s.c.topics.remove(s, s.c.ID(), never, func(channels []string) { answers = s.c.unsubscribe(channels) })
	return answers
}

func (c *Client) unsubscribe(channels []string) <-chan answer {
	m := &bayeux.Message{
		Channel:      bayeux.MetaUnsubscribe,
		Subscription: bayeux.Subscription{Channels: channels, List: len(channels) > 1},
	}
	r := c.newRequest(c.ctx, m, transport.Unsubscribe)
	r.tries = endless
	answers, left := make(chan answer, 1), c.topics.leave(r)
	tell := func(a answer) {
		select {
		case answers <- a:
		default: // it was late
		}
	}
	r.late = func(err error) { tell(answer{err: err}) }
	r.settled = func(m *bayeux.Message, err error) {
		left()
		tell(answer{m, err})
	}
	c.asking.Add(1)
	if !c.outbox.put(laneOther, r) || c.ID() == "" && c.outbox.remove(r) { // in this order, or one that comes as the session ends would wait for the next
		c.settle(r, nil, nil)
	}
	c.flow.signal()
	return answers
}

// unsubscribed settles the unsubscribes that wait when their session is lost: the
// server has nothing of it any more.
func (c *Client) unsubscribed() {
	for _, r := range c.outbox.clear(func(r *request) bool { return r.kind == transport.Unsubscribe }) {
		c.settle(r, nil, nil)
	}
}

// resubscribe prepares a new session: what the old one had accepted is asked
// for again, before all that waits. Each channel has a request of its own, so
// that a refusal concerns it alone. Those that may have ended the old session come
// last, the latest of them last of all: what the server takes before shows whether it
// was they.
func (c *Client) resubscribe() {
	c.unsubscribed()
	before := make(map[string]*request)
	for _, r := range c.outbox.clear(isRenewal) {
		before[r.m.Subscription.Channels[0]] = r
		c.settle(r, nil, lost(r.channel, errOver)) // those of before make way
	}
	var rs []*request
	for _, t := range c.topics.accepted() {
		r := c.renewal(t.channel, t.ext)
		if b := before[t.channel]; b != nil {
			if r.goneSessions = b.goneSessions; c.goneAlone(b) {
				r.goneSessions++
			}
			if r.goneSessions >= maxGoneSessions {
				c.settle(r, nil, b.gone)
				continue
			}
		}
		rs = append(rs, r)
	}
	slices.SortStableFunc(rs, func(a, b *request) int {
		return cmp.Or(cmp.Compare(a.breaks.latest.Load(), b.breaks.latest.Load()), cmp.Compare(a.goneSessions, b.goneSessions))
	})
	c.outbox.putFirst(rs)
	c.flow.signal()
}

// goneAlone reports whether the session of r, a renewal, was gone for r alone: it has
// taken others meanwhile.
func (c *Client) goneAlone(r *request) bool {
	return r.gone != nil && c.topics.acceptedSince(r.session, r.sent)
}

// renewal asks for a channel again. A refusal that may pass, and one of the whole
// payload, is met by asking later, or in another session if that is the advice;
// any other ends the channel's subscriptions.
func (c *Client) renewal(ch string, ext bayeux.Ext) *request {
	r := c.newRequest(c.ctx, &bayeux.Message{Channel: bayeux.MetaSubscribe}, transport.Subscribe)
	r.tries, r.renewal = endless, true
	c.topics.renew(ch, r)
	c.asking.Add(1)
	r.settled = func(_ *bayeux.Message, err error) {
		if err == nil { // who has left before there was a session to leave it in did not tell the server
			c.topics.unwanted([]string{ch}, nil, func(rest []string) { c.unsubscribe(rest) })
			return
		}
		e, answered := refusalOf(err)
		if c.ctx.Err() == nil && (r.breaks.count() >= maxBreaks || r.goneSessions >= maxGoneSessions) {
			for _, s := range c.topics.subscribers([]string{ch}) {
				s.fail(err, true, ch)
			}
			return
		}
		if c.ctx.Err() != nil || !answered && !statusRefuses(err) || errors.Is(err, bayeux.ErrUnknownSession) {
			return // the next session asks again
		}
		passes, advice := true, (*bayeux.Advice)(nil)
		if answered {
			passes, advice = e.Code >= 500 || asksAgain(e.Advice), e.Advice
		}
		if passes {
			if pause, ok := c.topics.countRefusal(ch, c.exhausted); ok {
				c.renewLater(r.session, ch, ext, max(pause, interval(advice), retryAfter(err)), advice, err)
				return
			}
		}
		for _, s := range c.topics.subscribers([]string{ch}) {
			s.fail(err, true, ch)
		}
	}
	c.subscribing(r, []string{ch}, ext)
	return r
}

// renewLater asks again after a pause, unless the session that refused is over,
// or is to be: the next one asks by itself.
func (c *Client) renewLater(session, ch string, ext bayeux.Ext, pause time.Duration, advice *bayeux.Advice, refusal error) {
	if advice.ShouldHandshake() {
		c.lose(session, refusal)
		return
	}
	c.work(func() {
		select {
		case <-time.After(pause):
			if c.ID() == session && len(c.topics.subscribers([]string{ch})) > 0 {
				if r := c.renewal(ch, ext); !c.outbox.put(laneOther, r) {
					c.settle(r, nil, c.closedErr())
				}
				c.flow.signal()
			}
		case <-c.ctx.Done():
		}
	})
}

// asksAgain reports whether the advice of a refusal, which an extension may have
// given it, says in so many words to try again.
func asksAgain(a *bayeux.Advice) bool {
	return a != nil && (a.Reconnect == bayeux.Retry || a.Reconnect == bayeux.HandshakeAgain)
}

// interval is the pause that an advice, which may be missing, asks for.
func interval(a *bayeux.Advice) time.Duration {
	if a == nil {
		return 0
	}
	return min(a.Interval.Or(0), time.Hour)
}
