package client

import (
	"slices"
	"sync/atomic"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/hub"
)

// A route is where the messages of one channel go.
type route struct {
	channel  string
	incoming []stage
	selects  []func(string, *bayeux.Message) bool
	targets  []target
	hub      *hub.Hub[Event]
}

// A target is a subscription, and the channels of it that matched, for those
// extensions that choose, or want to know when their messages are done. One that
// only listens has none.
type target struct {
	sub  *Subscription
	keys []string
}

// deaf reports whether nobody wants the channel's messages: they then cost
// nothing more.
func (rt *route) deaf() bool {
	return len(rt.targets) == 0 && len(rt.incoming) == 0 && !rt.hub.Listening()
}

// deliver takes an event that l has brought through the extensions to all who want it.
func (l *link) deliver(rt *route, m *bayeux.Message) {
	if err := pass(l.c.ctx, m, rt.incoming); err != nil {
		return // deleted
	}
	rt.tell(l, m)
}

// tell hands m, which l has brought, to the route's subscriptions and receivers.
func (rt *route) tell(l *link, m *bayeux.Message) {
	if rt.hub.Listening() {
		rt.hub.Tell(Received{m})
	}
	targets := rt.targets
	if len(rt.selects) > 0 {
		targets = rt.selected(m)
	}
	if len(targets) == 0 {
		return
	}
	done, bytes := l.c.tickets(targets, m), weight(m)
	for i, t := range targets {
		var d []*ticket
		if done != nil {
			d = done[i]
		}
		t.sub.push(entry{m: m, done: d, bytes: bytes}, l)
	}
}

// selected are the targets that get m as the extensions have it, each with those
// of its channels that do.
func (rt *route) selected(m *bayeux.Message) []target {
	rejected := func(key string) bool {
		return slices.ContainsFunc(rt.selects, func(f func(string, *bayeux.Message) bool) bool { return !f(key, m) })
	}
	if !slices.ContainsFunc(rt.targets, func(t target) bool { return slices.ContainsFunc(t.keys, rejected) }) {
		return rt.targets
	}
	var some []target
	for _, t := range rt.targets {
		keys := slices.DeleteFunc(slices.Clone(t.keys), rejected)
		if len(keys) > 0 || len(t.keys) == 0 {
			some = append(some, target{t.sub, keys})
		}
	}
	return some
}

// A ticket counts who has yet to handle a message on one subscribed channel.
type ticket struct {
	key     string
	left    atomic.Int32
	handled atomic.Bool
	tell    []func(string, *bayeux.Message)
}

// tickets makes one ticket for each subscribed channel that some extension
// follows, and says for each target which are its. It is nil if none does.
func (c *Client) tickets(targets []target, m *bayeux.Message) [][]*ticket {
	if !c.follows {
		return nil
	}
	byKey := make(map[string]*ticket)
	all := make([][]*ticket, len(targets))
	for i, t := range targets {
		for _, key := range t.keys {
			k := byKey[key]
			if k == nil {
				k = &ticket{key: key, tell: c.cfg.handled(key)}
				byKey[key] = k
			}
			if len(k.tell) > 0 {
				k.left.Add(1)
				all[i] = append(all[i], k)
			}
		}
	}
	return all
}

// finish is for a subscriber that is through with e's message: it has handled
// it, or given it up with the subscription. What a full queue has given up is never
// finished: the message that it made room for comes later, and stands for it. Nor is
// what the client's end has given up.
func (e *entry) finish(handled bool) {
	for _, t := range e.done {
		if handled {
			t.handled.Store(true)
		}
		if t.left.Add(-1) == 0 && t.handled.Load() {
			for _, f := range t.tell {
				f(t.key, e.m)
			}
		}
	}
}

// A router finds routes and remembers them. Each reader has its own, so the
// usual way takes no lock and allocates nothing.
type router struct {
	c          *Client
	generation uint64
	known      map[string]*route
}

// knownRoutes and longChannel bound a router's memory. Longer channels than any
// that our server takes are looked up again for each message.
const (
	knownRoutes = 4096
	longChannel = 512
)

func (r *router) find(ch []byte) *route {
	if g := r.c.topics.generation.Load(); g != r.generation || r.known == nil || len(r.known) > knownRoutes {
		r.generation, r.known = g, make(map[string]*route)
	}
	rt := r.known[string(ch)]
	if rt == nil {
		if rt = r.c.route(string(ch)); len(ch) <= longChannel {
			r.known[rt.channel] = rt
		}
	}
	return rt
}

// route works out where ch's messages go.
func (c *Client) route(ch string) *route {
	rt := &route{channel: ch, incoming: c.cfg.incoming(ch), selects: c.cfg.selects(ch), hub: c.hub}
	c.topics.mu.Lock()
	defer c.topics.mu.Unlock()
	add := func(s *Subscription, keys ...string) {
		i := slices.IndexFunc(rt.targets, func(t target) bool { return t.sub == s })
		if i < 0 {
			rt.targets = append(rt.targets, target{sub: s})
			i = len(rt.targets) - 1
		}
		rt.targets[i].keys = append(rt.targets[i].keys, keys...)
	}
	broadcast := bayeux.Channel(ch).Kind() == bayeux.Broadcast
	for p := range c.topics.matching(ch) {
		for _, t := range c.topics.byKey[p] {
			if !broadcast && bayeux.Channel(p).Kind() == bayeux.Broadcast {
				continue // a server's /** has broadcast channels only
			}
			for _, s := range t.subs {
				add(s, t.key)
			}
		}
		for _, s := range c.topics.local[p] {
			add(s)
		}
	}
	return rt
}
