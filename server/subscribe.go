package server

import (
	"time"

	"github.com/gocometd/cometd/bayeux"
)

// subscribe processes a subscribe: the channels in order, up to the first that
// is refused; those before it stay subscribed (docs/protocol.md §3.3).
func (t *turn) subscribe(m *bayeux.Message) {
	t.join = nil
	done := t.forChannels(m, t.subscribeTo)
	t.session.emit(len(done), Subscribed{Session: t.session, Channels: done, Context: t.context()})
}

// unsubscribe processes an unsubscribe in the same manner.
func (t *turn) unsubscribe(m *bayeux.Message) {
	done := t.forChannels(m, t.unsubscribeFrom)
	t.session.emit(len(done), Unsubscribed{Session: t.session, Channels: done, Context: t.context()})
}

// forChannels calls f once for each of the channels of m, up to the first that it
// refuses, and answers m. It returns those for which f reports a change.
func (t *turn) forChannels(m *bayeux.Message, f func(bayeux.Channel, *bayeux.Message) (bool, *bayeux.Error)) (done []string) {
	failed := checkSubscription(m)
	long := longTask{begun: time.Now()}
	asked := map[bayeux.Channel]struct{}{}
	for i := 0; i < len(m.Subscription.Channels) && failed == nil; i++ {
		if long.shouldYieldNow() { // policies and histories may take milliseconds each
			t.pause()
		}
		c, err := bayeux.ParsePattern(m.Subscription.Channels[i])
		if err != nil {
			failed = &bayeux.Error{Code: 403, Message: "subscription_invalid"}
			break
		}
		if _, again := asked[c]; again {
			continue
		}
		asked[c] = struct{}{}
		var changed bool
		if changed, failed = f(c, m); changed {
			done = append(done, string(c))
		}
	}
	if failed != nil {
		t.refuse(m, failed)
	} else {
		t.reply(replyTo(m, bayeux.Succeeded))
	}
	return done
}

// emit tells the events about n channels, unless the end of the session has
// been told already.
func (s *Session) emit(n int, ev Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.phase != gone {
		s.srv.events.Tell(ev)
	}
}

func checkSubscription(m *bayeux.Message) *bayeux.Error {
	if m.Subscription.Invalid != nil {
		return &bayeux.Error{Code: 403, Message: "subscription_invalid"}
	}
	if len(m.Subscription.Channels) == 0 {
		return &bayeux.Error{Code: 403, Message: "subscription_missing"}
	}
	return nil
}

// subscribeTo subscribes the session to one channel or pattern, if everybody
// agrees. It reports whether it was not subscribed before.
func (t *turn) subscribeTo(c bayeux.Channel, m *bayeux.Message) (fresh bool, refused *bayeux.Error) {
	if t.session.ended() {
		return false, unknownSession()
	}
	if err := t.session.checkSize(len(c), c, 403, "subscription_invalid"); err != nil {
		return false, err
	}
	name := string(c)
	switch c.Kind() {
	case bayeux.Meta:
		return false, deniedMeta(name)
	case bayeux.Service:
		return false, nil // harmless, and remembered nowhere (docs/protocol.md §2)
	}
	if t.srv.channels.get([]byte(name)) == nil {
		if err := t.mayCreate(name, m, "create_denied"); err != nil {
			return false, err
		}
	}
	if err := t.maySubscribe(name, m); err != nil {
		return false, err
	}
	begun, fresh, refused := t.joinHistory(name, m)
	if !begun {
		return t.srv.subscribe(t.session, name, t)
	}
	return fresh, refused
}

// deniedMeta refuses as the reference does, which knows its own meta channels.
func deniedMeta(name string) *bayeux.Error {
	what := "create_denied"
	switch name {
	case bayeux.MetaHandshake, bayeux.MetaConnect, bayeux.MetaSubscribe, bayeux.MetaUnsubscribe, bayeux.MetaDisconnect:
		what = "subscribe_denied"
	}
	return &bayeux.Error{Code: 403, Args: []string{byPolicy}, Message: what}
}

func (t *turn) maySubscribe(name string, m *bayeux.Message) *bayeux.Error {
	srv, s := t.srv, t.session
	if f := srv.policy.Subscribe; f != nil {
		t.wakeOthers()
		if err := f(t.context(), s, name, m); err != nil {
			return t.refusal(err, name, 403, "subscribe_denied")
		}
	}
	if r := srv.channels.computeRoute(name); len(r.authorizers) > 0 {
		t.wakeOthers()
		if err := r.authorize(t.context(), s, OpSubscribe, name); err != nil {
			return t.refusal(err, name, 403, "subscribe_denied")
		}
	}
	return nil
}

// Subscribe subscribes the session to ch, without asking policy or
// authorizers. It fails if ch is not a legal broadcast channel or pattern, if
// the session has too many subscriptions, with the code 402 if it has ended, and
// with 500 if a function of [Server.OnCreate] panics. Again is harmless.
func (s *Session) Subscribe(ch string) (err error) {
	c, err := bayeux.ParsePattern(ch)
	if err != nil {
		return err
	}
	if c.Kind() != bayeux.Broadcast {
		return &bayeux.Error{Code: 403, Channel: ch, Message: "subscription_invalid"}
	}
	defer s.srv.recovered(ch, &err)
	fresh, refused := s.srv.subscribe(s, string(c), nil)
	if refused != nil {
		return refused
	}
	if !fresh {
		return nil
	}
	s.emit(1, Subscribed{Session: s, Channels: []string{string(c)}, Context: s.Context()})
	return nil
}

// Unsubscribe ends the session's subscription to ch, if it has one.
func (s *Session) Unsubscribe(ch string) {
	if c, err := bayeux.ParsePattern(ch); err == nil && s.srv.unsubscribe(s, string(c)) {
		s.emit(1, Unsubscribed{Session: s, Channels: []string{string(c)}, Context: s.Context()})
	}
}

// subscribe ties s to the channel of that legal name, which it creates, and
// reports whether it was not before. The turn may be nil.
func (srv *Server) subscribe(s *Session, name string, t *turn) (fresh bool, refused *bayeux.Error) {
	for {
		ch, refused := srv.channelFor(name, s, t)
		if refused != nil {
			return false, refused
		}
		sub := &subscription{session: s, channel: ch}
		known, err := s.addSubscription(name, sub)
		if err != nil || known {
			return false, err
		}
		if srv.list(ch, sub, t, nil) {
			if s.ended() {
				return false, unknownSession() // its client makes a new one, and asks again
			}
			return true, nil
		}
		s.dropSubscription(name, sub) // ch has been swept meanwhile: again
	}
}

// list makes sub live, and gives its session the latest messages that the options
// of channels promise, of channels for which wanted, unless it is nil, is true. A
// turn lets others go first where there are many. It is false if the channel was
// swept meanwhile.
func (srv *Server) list(ch *channel, sub *subscription, t *turn, wanted func(ch string) bool) bool {
	if t != nil && srv.delivers() {
		t.wakeOthers()
	}
	w := wakes{cause: sub.session}
	if wanted == nil {
		defer w.flush(srv)
	} else {
		defer w.flushApart(srv) // a history holds deliveries up meanwhile
	}
	if !ch.subscribe(sub) {
		return false
	}
	if !srv.channels.rules.sendLast() {
		return true
	}
	srv.giveLast(ch, sub, wanted, &w)
	if !ch.wild {
		return true
	}
	long := longTask{begun: time.Now(), parts: taskParts - 1} // to find them may have taken its time
	found := srv.channels.lasts.matching(ch.name)
	letOthers := func() {
		if t != nil && long.shouldYield() {
			t.pause()
		}
	}
	letOthers()
	for _, c := range found {
		letOthers()
		if !srv.giveLast(c, sub, wanted, &w) {
			break
		}
	}
	return true
}

func (s *Session) addSubscription(name string, sub *subscription) (known bool, err *bayeux.Error) {
	limit := s.srv.limits.Subscriptions
	s.mu.Lock()
	ended, known, full := s.phase == gone, s.subs[name] != nil, exceeds(len(s.subs)+1, limit)
	if !ended && !known && !full {
		if s.subs == nil {
			s.subs = map[string]*subscription{}
		}
		s.subs[name] = sub
	}
	s.mu.Unlock()
	switch {
	case ended:
		return false, unknownSession()
	case full && !known:
		return false, s.limitError(limitSubscriptions, limit)
	}
	return known, nil
}

// dropSubscription takes out the subscription to name, or only that one.
func (s *Session) dropSubscription(name string, only *subscription) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subs[name]
	if only != nil && sub != only {
		return nil
	}
	delete(s.subs, name)
	return sub
}

// unsubscribeFrom reports whether there was a subscription; that there was none
// is no failure as long as the channel exists.
func (t *turn) unsubscribeFrom(c bayeux.Channel, _ *bayeux.Message) (known bool, failed *bayeux.Error) {
	if t.srv.channels.get([]byte(c)) == nil {
		if err := t.session.checkSize(len(c), c, 403, "subscription_invalid"); err != nil {
			return false, err
		}
		if c.Kind() == bayeux.Broadcast {
			return false, &bayeux.Error{Code: 400, Message: "channel_missing"}
		}
	}
	return t.srv.unsubscribe(t.session, string(c)), nil
}

// unsubscribe reports whether there was a subscription.
func (srv *Server) unsubscribe(s *Session, name string) bool {
	sub := s.dropSubscription(name, nil)
	if sub == nil {
		return false
	}
	sub.channel.unsubscribe(sub)
	return true
}
