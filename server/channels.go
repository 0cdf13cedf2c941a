package server

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/lock"
)

// registry holds the channels and patterns that somebody subscribed to,
// published on or configured (docs/protocol.md §2), and what is attached to
// patterns: listeners, authorizers, options.
type registry struct {
	mu        lock.RWMutex[lock.Registry]
	byName    map[string]*channel
	bySession map[string]int // of them, how many each session has made
	byAddr    map[string]int // and each remote address that counts
	rules     rules
	lasts     lasts

	// wildLengths are how many patterns there are of each length: under mu, as byName.
	wildLengths []int32

	made uint64 // channels so far, under mu

	// generation counts the changes of rules and of the set of patterns. A
	// channel's cached route holds while it stays the same.
	generation atomic.Uint64
}

// A channel is a broadcast channel, a service channel or a pattern such as
// /quotes/*, which is a channel that others match.
type channel struct {
	name    string
	serial  uint64 // no two channels have the same, also not of one name
	kind    bayeux.Kind
	wild    bool
	prefix  []byte // the start of every event on it, encoded once
	creator string // session id; "": the server
	addr    string // in whose limit it counts; "": in nobody's
	attrs   attributes
	service atomic.Pointer[Service]

	made  sync.Once   // the initializers have run
	ready atomic.Bool // and are done

	subs      subscribers
	published atomic.Uint64
	idle      atomic.Int32 // sweeps that found nothing
	cached    atomic.Pointer[route]

	// order is held while an event is put into the outboxes, so that all
	// sessions get the messages of one channel in one order. Nothing is sent
	// and no user code runs under it.
	order lock.Mutex[lock.Order]
	last  *latest // for ChannelOptions.SendLast; nil: there is none

	mu       lock.Mutex[lock.Channel] // guards changes of subs, and what follows
	expected int                      // subscriptions that join a history, and kept publishes under way
	gone     bool                     // swept: ask the registry again. Changed under order too
}

// ChannelOptions is how a channel treats its messages.
type ChannelOptions struct {
	Overflow   Overflow      // when a subscriber's outbox is full; default CloseSession
	SendLast   bool          // a new subscriber gets the latest message at once
	Lazy       time.Duration // messages may wait this long for company; 0: they do not wait; negative: Timing.Lazy
	NoEcho     bool          // a publisher does not get its own messages
	Persistent bool          // stays when nobody uses it
}

// Overflow says what happens to a message for a session whose outbox is full.
type Overflow int8

const (
	// DefaultOverflow is CloseSession.
	DefaultOverflow Overflow = iota
	// CloseSession ends the session: its client notices, and starts afresh.
	CloseSession
	// DropOldest drops the oldest messages that wait, of any channel.
	DropOldest
	// KeepLatest replaces a waiting message of the same channel, full or not:
	// a slow reader gets the newest price, not all of them. If the outbox is
	// full of other channels' messages, the oldest of those go.
	KeepLatest
)

// ChannelInfo describes a channel at one moment.
type ChannelInfo struct {
	Name        string
	Subscribers int    // to this very name; not those of patterns that match it
	Published   uint64 // messages since it was created
	Options     ChannelOptions
}

// init makes the protocol's own channels, which always exist.
func (r *registry) init() {
	r.byName, r.bySession, r.byAddr = map[string]*channel{}, map[string]int{}, map[string]int{}
	for _, name := range []string{bayeux.MetaHandshake, bayeux.MetaConnect, bayeux.MetaSubscribe, bayeux.MetaUnsubscribe, bayeux.MetaDisconnect} {
		r.create(nil, name, maker{})
	}
}

// get returns the channel of that name, or nil. It does not allocate. A
// channel whose initializers still run does not exist yet.
func (r *registry) get(name []byte) *channel {
	r.mu.RLock()
	ch := r.byName[string(name)]
	r.mu.RUnlock()
	if ch != nil && !ch.ready.Load() {
		return nil
	}
	return ch
}

// A maker is in whose name a channel is made.
type maker struct {
	session string  // its id; "": the server's own
	addr    string  // in whose limit it counts; "": in nobody's
	limits  *Limits // that hold for it; nil: none does
}

// mayMake names the limit that one more channel by x would break, and its value.
// The caller holds mu.
func (r *registry) mayMake(x maker) (broken string, limit int) {
	switch l := x.limits; {
	case l == nil:
	case exceeds(r.bySession[x.session]+1, l.ChannelsCreated):
		return limitChannelsCreated, l.ChannelsCreated
	case x.addr != "" && exceeds(r.byAddr[x.addr]+1, l.ChannelsPerAddr):
		return limitChannelsPerAddr, l.ChannelsPerAddr
	case exceeds(len(r.byName)+1, l.Channels):
		return limitChannels, l.Channels
	}
	return "", 0
}

// asksToMake is mayMake for who has yet to ask others.
func (r *registry) asksToMake(x maker) (broken string, limit int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.mayMake(x)
}

// named is get for a name as the application spells it, perhaps with spaces around it
// or a slash at its end.
func (r *registry) named(ch string) *channel {
	if c, err := bayeux.ParsePattern(ch); err == nil {
		return r.get([]byte(c))
	}
	return nil
}

// create returns the channel of that name, which must be legal, or which limit
// forbids that x makes it. Everybody who creates it waits for its initializers. If
// one panics there is no such channel, and who waited tries for itself.
func (r *registry) create(srv *Server, name string, x maker) (ch *channel, broken string, limit int) {
	for {
		if ch, broken, limit = r.insert(name, x); broken != "" || ch.ready.Load() {
			return ch, broken, limit
		}
		ch.made.Do(func() { r.initialize(srv, ch) })
		if ch.ready.Load() {
			return ch, "", 0
		}
	}
}

func (r *registry) initialize(srv *Server, ch *channel) {
	defer func() {
		if !ch.ready.Load() {
			r.forget(ch)
		}
	}()
	for _, x := range r.rules.initializers(ch.name) {
		x.f(&Channel{srv, ch})
	}
	ch.ready.Store(true)
}

// insert looks at the limits once more: others may have made channels while the
// application was asked about this one.
func (r *registry) insert(name string, x maker) (ch *channel, broken string, limit int) {
	r.mu.RLock()
	ch = r.byName[name]
	r.mu.RUnlock()
	if ch != nil { // as for nearly all publishes of the server: they do not exclude each other
		return ch, "", 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if ch := r.byName[name]; ch != nil {
		return ch, "", 0
	}
	if broken, limit := r.mayMake(x); broken != "" {
		return nil, broken, limit
	}
	r.made++
	c := bayeux.Channel(name)
	ch = &channel{name: name, serial: r.made, kind: c.Kind(), wild: c.IsWild(), prefix: codec.EventPrefix(name), creator: x.session, addr: x.addr}
	r.byName[name] = ch
	r.count(ch, 1)
	return ch, "", 0
}

// count counts n more channels like ch. The caller holds mu.
func (r *registry) count(ch *channel, n int) {
	add(r.bySession, ch.creator, n)
	add(r.byAddr, ch.addr, n)
	if ch.wild {
		r.countWild(ch, n)
	}
}

// add keeps no zero, and counts nothing for nobody.
func add(counts map[string]int, whose string, n int) {
	if whose == "" {
		return
	}
	if counts[whose] += n; counts[whose] == 0 {
		delete(counts, whose)
	}
}

// sweep drops the channels that nobody used for three sweeps. It holds the lock
// for each of them, not for all.
func (r *registry) sweep(in []*channel) []*channel {
	all := r.snapshot(in)
	for _, ch := range all {
		r.dropOldRoute(ch)
		if r.inUse(ch) {
			ch.idle.Store(0)
			continue
		}
		if ch.idle.Add(1) >= 3 {
			r.remove(ch)
		}
	}
	return emptied(all)
}

// dropOldRoute lets go of a route that is stale, and with it of patterns that may have
// gone.
func (r *registry) dropOldRoute(ch *channel) {
	if cached := ch.cached.Load(); cached != nil && cached.generation != r.generation.Load() {
		ch.cached.CompareAndSwap(cached, nil)
	}
}

func (r *registry) remove(ch *channel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName[ch.name] == ch && ch.retire() {
		r.drop(ch)
	}
}

// forget takes out a channel that nobody has got yet.
func (r *registry) forget(ch *channel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName[ch.name] == ch {
		r.drop(ch)
	}
}

// drop takes out ch. The caller holds mu.
func (r *registry) drop(ch *channel) {
	delete(r.byName, ch.name)
	ch.order.Lock()
	r.lasts.drop(ch)
	ch.order.Unlock()
	r.count(ch, -1)
}

// inUse reports whether a channel stays. One whose initializers run does: whoever
// waits for it would have to make it again, and they would run again, without end.
func (r *registry) inUse(ch *channel) bool {
	if ch.subs.len() > 0 || ch.kind == bayeux.Meta || ch.service.Load() != nil || !ch.ready.Load() {
		return true
	}
	o := r.rules.options(ch.name)
	return o.Persistent || o.SendLast && ch.hasLast() || r.rules.attached(ch.name)
}

// retire marks ch gone unless somebody has just subscribed or publishes.
func (ch *channel) retire() bool {
	if !ch.order.TryLock() {
		return false
	}
	defer ch.order.Unlock()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.gone = ch.subs.len() == 0 && ch.expected == 0 && ch.service.Load() == nil && ch.idle.Load() >= 3
	return ch.gone
}

func (ch *channel) list(sub *subscription) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.gone {
		return false
	}
	if !sub.dropped {
		ch.subs.add(sub)
		sub.listed = true
	}
	return true
}

func (ch *channel) unsubscribe(sub *subscription) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if sub.listed {
		ch.subs.remove(sub)
	}
	sub.listed, sub.dropped = false, true
	if sub.left != nil {
		sub.left()
		sub.left = nil
		ch.expected--
	}
}

// Channels yields the channels and patterns that exist when the loop begins: those with
// subscribers, those used not long ago, and those that stay, because they are
// Persistent, have a latest message, a service or a listener, and were used once.
// To configure a channel does not make it. It holds no lock
// between steps.
func (srv *Server) Channels() iter.Seq[ChannelInfo] {
	return func(yield func(ChannelInfo) bool) {
		for _, ch := range srv.channels.snapshot(nil) {
			info := ChannelInfo{Name: ch.name, Subscribers: ch.subs.len(), Published: ch.published.Load(), Options: srv.channels.rules.options(ch.name)}
			if ch.kind != bayeux.Meta && !yield(info) {
				return
			}
		}
	}
}

func (r *registry) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.byName)
}

func (r *registry) snapshot(in []*channel) []*channel {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.AppendSeq(slices.Grow(in, len(r.byName)), maps.Values(r.byName))
}

// Subscribers yields the sessions that are subscribed to exactly ch, which may
// be a pattern, when the loop begins. It costs nothing to the traffic of the channel.
func (srv *Server) Subscribers(ch string) iter.Seq[*Session] {
	if c := srv.channels.named(ch); c != nil {
		return c.subs.all()
	}
	return func(func(*Session) bool) {}
}

// SubscriberCount returns how many sessions are subscribed to exactly ch,
// without walking them.
func (srv *Server) SubscriberCount(ch string) int {
	if c := srv.channels.named(ch); c != nil {
		return c.subs.len()
	}
	return 0
}
