package client

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
)

// A topic is one channel that is subscribed to on the wire, for any number of
// local subscriptions.
type topic struct {
	channel string // as subscribed to: it may have a filter
	key     string // as events name it, or the pattern that they match
	ext     bayeux.Ext
	subs    []*Subscription
	session string    // the one that has accepted it; "" before the first reply
	asked   time.Time // when it was asked
	was     bool      // accepted once: the client subscribes again by itself
	pause   backoff   // between refusals of that, in whatever sessions
	renewal *request  // that asks, if the server has not taken it yet
	listens bool      // by Listen: the server knows nothing of it
}

// A departure is an unsubscribe that is under way.
type departure struct {
	request *request
	over    chan struct{} // closed when it is settled
}

// topics are what the client wants to hear. Every change makes a new
// generation, so that routers look again.
type topics struct {
	generation atomic.Uint64
	left       func(keys []string) // told of what has no subscription any more
	pause      backoff             // of a topic that has not been refused
	leaving    sync.Map            // channels that the server is asked to forget: a *departure. Not under mu, which who settles may hold

	mu    lock.Mutex[lock.Topics]
	byCh  map[string]*topic
	byKey map[string][]*topic
	local map[string][]*Subscription // by Listen: nothing on the wire
	over  bool                       // the client ends: nothing is added
}

func (t *topics) init() {
	t.byCh = make(map[string]*topic)
	t.byKey = make(map[string][]*topic)
	t.local = make(map[string][]*Subscription)
}

// add registers s, unless it is too late. send queues the request for those of
// its channels that session has not accepted yet; t.mu is held meanwhile, so
// that subscribes and unsubscribes of one channel keep their order.
//
// Nothing is done while an unsubscribe of such a channel is under way, if after
// is true: what comes until then is for nobody, and s would hear of it, and then
// nothing until its own request is taken. The caller tries again when left is
// closed.
func (t *topics) add(s *Subscription, session string, after bool, send func(channels []string)) (added bool, left <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return false, nil
	}
	if after {
		if ds := t.leavingAny(s.channels); len(ds) > 0 {
			return false, ds[0].over
		}
	}
	t.generation.Add(1) // before the request: its first events may come at once
	if s.listens {
		for _, ch := range s.channels {
			t.local[ch] = append(t.local[ch], s)
		}
		return true, nil
	}
	var missing []string
	for _, ch := range s.channels {
		tp := t.byCh[ch]
		if tp == nil {
			tp = &topic{channel: ch, key: string(bayeux.Channel(ch).WithoutFilter()), pause: t.pause}
			t.byCh[ch] = tp
			t.byKey[tp.key] = append(t.byKey[tp.key], tp)
		}
		if tp.subs = append(tp.subs, s); len(s.ext) > 0 {
			tp.ext = s.ext
		}
		if tp.session == "" || tp.session != session || len(s.ext) > 0 {
			missing = append(missing, ch)
		}
	}
	if len(missing) > 0 {
		send(missing)
	}
	return true, nil
}

// leave notes that r asks the server to forget channels, until left is called.
func (t *topics) leave(r *request) (left func()) {
	d := &departure{r, make(chan struct{})}
	channels := r.m.Subscription.Channels
	for _, ch := range channels {
		t.leaving.Store(ch, d)
	}
	return func() {
		for _, ch := range channels {
			t.leaving.CompareAndDelete(ch, d)
		}
		close(d.over)
	}
}

// leavingAny are the departures from any of channels, each once.
func (t *topics) leavingAny(channels []string) (ds []*departure) {
	for _, ch := range channels {
		if d, ok := t.leaving.Load(ch); ok && !slices.Contains(ds, d.(*departure)) {
			ds = append(ds, d.(*departure))
		}
	}
	return ds
}

// unwanted sends an unsubscribe of those of channels that nobody has, that are not
// kept for somebody, and that none is under way for.
func (t *topics) unwanted(channels, kept []string, send func(rest []string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(channels), func(ch string) bool {
		d, ok := t.leaving.Load(ch)
		return t.byCh[ch] != nil || slices.Contains(kept, ch) || ok && !d.(*departure).request.abandoned.Load()
	})
	if len(rest) > 0 {
		send(rest)
	}
}

// end lets no more in and returns those that are.
func (t *topics) end() []*Subscription {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	return t.all()
}

// remove takes s out; send queues the request for the channels that nobody
// wants any more. Those of never, which the server has not taken for s, are not among
// them, unless session has accepted them for somebody before.
func (t *topics) remove(s *Subscription, session string, never []string, send func(channels []string)) {
	if left := t.takeOut(s, session, never, send); len(left) > 0 {
		t.left(left)
	}
}

// takeOut returns the keys that have no subscription any more, with whatever
// filter.
func (t *topics) takeOut(s *Subscription, session string, never []string, send func(channels []string)) (left []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.generation.Add(1)
	is := func(o *Subscription) bool { return o == s }
	var unwanted []string
	for _, ch := range s.channels {
		if s.listens {
			if t.local[ch] = slices.DeleteFunc(t.local[ch], is); len(t.local[ch]) == 0 {
				delete(t.local, ch)
			}
			continue
		}
		tp := t.byCh[ch]
		if tp == nil {
			continue
		}
		if tp.subs = slices.DeleteFunc(tp.subs, is); len(tp.subs) == 0 {
			if !slices.Contains(never, ch) || session != "" && tp.session == session {
				unwanted = append(unwanted, ch)
			}
			if t.forget(tp); len(t.byKey[tp.key]) == 0 {
				left = append(left, tp.key)
			}
		}
	}
	if len(unwanted) > 0 && send != nil {
		send(unwanted)
	}
	return left
}

// forget takes a topic out. The caller holds t.mu.
func (t *topics) forget(tp *topic) {
	delete(t.byCh, tp.channel)
	rest := slices.DeleteFunc(t.byKey[tp.key], func(o *topic) bool { return o == tp })
	if t.byKey[tp.key] = rest; len(rest) == 0 {
		delete(t.byKey, tp.key)
	}
}

// matching are the patterns for ch that some subscription may have. A long
// channel may have very many, so there it goes through the subscriptions
// instead. The caller holds t.mu.
func (t *topics) matching(ch string) iter.Seq[string] {
	if len(ch) <= longChannel {
		return bayeux.Channel(ch).Patterns
	}
	return func(yield func(string) bool) {
		for p := range t.byKey {
			if bayeux.Channel(p).Match(ch) && !yield(p) {
				return
			}
		}
		for p := range t.local {
			if t.byKey[p] == nil && bayeux.Channel(p).Match(ch) && !yield(p) {
				return
			}
		}
	}
}

// renew makes r the request that asks for ch again. One of the session before may still
// be on its way: it is not sent again, and what it does to the server counts for r too.
func (t *topics) renew(ch string, r *request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tp := t.byCh[ch]
	if tp == nil {
		return
	}
	if before := tp.renewal; before != nil {
		before.abandoned.Store(true)
		r.breaks = before.breaks
	}
	tp.renewal = r
}

// accept notes that session has accepted channels, in reply to a request of then.
func (t *topics) accept(session string, asked time.Time, channels []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range channels {
		if tp := t.byCh[ch]; tp != nil {
			tp.session, tp.asked, tp.was, tp.pause, tp.renewal = session, asked, true, t.pause, nil
		}
	}
}

// acceptedSince reports whether session has accepted a subscribe of the payload that
// was sent then, or of a later one: it was not gone when they came.
func (t *topics) acceptedSince(session string, then time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tp := range t.byCh {
		if tp.session == session && !tp.asked.Before(then) {
			return true
		}
	}
	return false
}

// countRefusal counts that a session did not take ch again, and says how long to wait
// before asking once more: false if that has been enough.
func (t *topics) countRefusal(ch string, enough func(*backoff) bool) (pause time.Duration, again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tp := t.byCh[ch]
	switch {
	case tp == nil: // nobody wants it any more
		return 0, true
	case enough(&tp.pause):
		return 0, false
	}
	return tp.pause.next(), true
}

// accepted are copies of the topics that some session has accepted.
func (t *topics) accepted() []topic {
	return slices.DeleteFunc(t.wanted(), func(tp topic) bool { return !tp.was })
}

// wanted are copies of all topics.
func (t *topics) wanted() (all []topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range slices.Sorted(maps.Keys(t.byCh)) {
		c := *t.byCh[ch]
		c.subs = slices.Clone(c.subs)
		all = append(all, c)
	}
	return all
}

// listening are the channels of Listen, but for those of meta messages, which the
// client's own requests bring.
func (t *topics) listening() (all []topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range slices.Sorted(maps.Keys(t.local)) {
		if bayeux.Channel(ch).Kind() != bayeux.Meta {
			all = append(all, topic{channel: ch, key: ch, was: true, listens: true, subs: slices.Clone(t.local[ch])})
		}
	}
	return all
}

// subscribedTo reports whether key was accepted by some session.
func (t *topics) subscribedTo(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.byKey[key], func(tp *topic) bool { return tp.was })
}

// subscribers are those that a refusal of channels concerns.
func (t *topics) subscribers(channels []string) (subs []*Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range channels {
		if tp := t.byCh[ch]; tp != nil {
			subs = append(subs, tp.subs...)
		}
	}
	return subs
}

// all are the subscriptions there are, each once.
func (t *topics) all() []*Subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := make(map[*Subscription]bool)
	for _, tp := range t.byCh {
		for _, s := range tp.subs {
			set[s] = true
		}
	}
	for _, subs := range t.local {
		for _, s := range subs {
			set[s] = true
		}
	}
	return slices.Collect(maps.Keys(set))
}
