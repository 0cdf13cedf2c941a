package server

import (
	"slices"
	"strings"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
)

// rules is what the application attached to patterns. Its fields are replaced,
// never changed, so that a route may keep slices of them.
type rules struct {
	mu          lock.RWMutex[lock.Rules]
	listeners   []*rule[Listener]
	authorizers []*rule[Authorizer]
	filters     []*rule[Filter]
	inits       []*rule[func(*Channel)]
	configured  []channelRule
	extensions  []Extension
}

type rule[F any] struct {
	match func(ch string) bool
	at    string           // the pattern, which orders rules from root to leaf
	vars  *bayeux.Template // its variables, for listeners
	f     F
}

// A route is everything that matters to a message on one channel, worked out
// once: which patterns match, who listens, who must agree.
type route struct {
	generation  uint64
	patterns    []*channel // with the channel itself last, root to leaf
	options     ChannelOptions
	listeners   []*rule[Listener]
	authorizers []*rule[Authorizer]
	filters     []*rule[Filter]
	incoming    []Extension
	outgoing    []Extension // in the order to run: reverse of registration
	deliver     []Extension
}

// routeOf returns ch's route, from its cache while nothing has changed.
func (r *registry) routeOf(ch *channel) *route {
	if cached := ch.cached.Load(); cached != nil && cached.generation == r.generation.Load() {
		return cached
	}
	made := r.computeRoute(ch.name)
	if !ch.wild {
		made.patterns = append(made.patterns, ch)
	}
	ch.cached.Store(made)
	return made
}

// routeByName returns the route of a channel that may not exist.
func (r *registry) routeByName(name string) *route {
	if ch := r.get([]byte(name)); ch != nil {
		return r.routeOf(ch)
	}
	return r.computeRoute(name)
}

// computeRoute works out a route for a name that need not exist as a channel, and
// keeps it nowhere.
func (r *registry) computeRoute(name string) *route {
	// Read before anything else: a change meanwhile makes this route stale.
	out := &route{generation: r.generation.Load()}
	out.patterns = r.patternsOf(name)
	r.rules.fill(out, name)
	return out
}

// patternsOf are the patterns that match name and exist, from root to leaf, as
// [bayeux.Channel.Patterns] has them. It looks for those only that are as long as
// some that exist, and no further than the longest of them: a peer may ask for a
// name of a hundred thousand segments, legal or not, while others wait for mu.
func (r *registry) patternsOf(name string) (found []*channel) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	look := func(under, wildcard string) {
		if n := len(under) + len(wildcard); n < len(r.wildLengths) && r.wildLengths[n] > 0 {
			if ch := r.byName[under+wildcard]; ch != nil && ch.wild {
				found = append(found, ch)
			}
		}
	}
	if bayeux.Channel(name).IsWild() {
		look(name, "")
		return found
	}
	last := strings.LastIndexByte(name, '/')
	for i := 0; i <= last && i+len("/**") < len(r.wildLengths); i++ {
		if name[i] == '/' {
			look(name[:i], "/**")
		}
	}
	if last >= 0 {
		look(name[:last], "/*")
	}
	return found
}

// countWild counts n more patterns as long as that of ch. The caller holds mu.
func (r *registry) countWild(ch *channel, n int) {
	if more := len(ch.name) + 1 - len(r.wildLengths); more > 0 {
		r.wildLengths = append(r.wildLengths, make([]int32, more)...)
	}
	r.wildLengths[len(ch.name)] += int32(n)
	r.generation.Add(1)
}

func (r *rules) fill(out *route, name string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out.options = optionsFor(r.configured, name)
	out.listeners = matching(r.listeners, name)
	out.authorizers = matching(r.authorizers, name)
	out.filters = matching(r.filters, name)
	for _, e := range r.extensions {
		if !e.matches(name) {
			continue
		}
		if e.Incoming != nil {
			out.incoming = append(out.incoming, e)
		}
		if e.Outgoing != nil {
			out.outgoing = append(out.outgoing, e)
		}
		if e.Deliver != nil {
			out.deliver = append(out.deliver, e)
		}
	}
	slices.Reverse(out.outgoing)
	slices.Reverse(out.deliver)
}

func matching[F any](all []*rule[F], name string) (some []*rule[F]) {
	for _, x := range all {
		if x.match(name) {
			some = append(some, x)
		}
	}
	return some
}

func optionsFor(rules []channelRule, name string) (o ChannelOptions) {
	best := -1
	for _, c := range rules {
		if rank := specificity(c.pattern); rank >= best && bayeux.Channel(c.pattern).Match(name) {
			o, best = c.options, rank
		}
	}
	return o
}

func (r *rules) options(name string) ChannelOptions {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return optionsFor(r.configured, name)
}

// sendLast reports whether any channel keeps its latest message.
func (r *rules) sendLast() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.ContainsFunc(r.configured, func(c channelRule) bool { return c.options.SendLast })
}

func (r *rules) initializers(name string) []*rule[func(*Channel)] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return matching(r.inits, name)
}

// attached reports whether a listener or authorizer names exactly this channel.
func (r *rules) attached(name string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.ContainsFunc(r.listeners, func(x *rule[Listener]) bool { return x.at == name }) ||
		slices.ContainsFunc(r.authorizers, func(x *rule[Authorizer]) bool { return x.at == name })
}

// specificity orders the patterns that match one channel from root to leaf, as
// docs/protocol.md §2 does: /** before /a/** before /a/* before /a/{var} before
// /a/b.
func specificity(pattern string) int {
	rank := 4 * strings.Count(pattern, "/")
	switch c := bayeux.Channel(pattern); {
	case strings.HasSuffix(pattern, "/**"):
		return rank
	case c.IsWild():
		return rank + 1
	case strings.Contains(pattern, "{"):
		return rank + 2
	}
	return rank + 3
}

// attach adds a rule at its place from root to leaf and returns its remover.
func attach[F any](r *registry, list *[]*rule[F], x *rule[F]) (remove func()) {
	r.rules.mu.Lock()
	at, rank := len(*list), specificity(x.at)
	for i, other := range *list {
		if specificity(other.at) > rank {
			at = i
			break
		}
	}
	*list = slices.Insert(slices.Clone(*list), at, x)
	r.rules.mu.Unlock()
	r.generation.Add(1)
	return func() {
		r.rules.mu.Lock()
		*list = slices.DeleteFunc(slices.Clone(*list), func(other *rule[F]) bool { return other == x })
		r.rules.mu.Unlock()
		r.generation.Add(1)
	}
}
