package server

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"sync"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
)

// broadcast encodes the message once and queues it for every subscriber.
func (p *publishing) broadcast() error {
	if p.message != nil && len(p.route.outgoing) > 0 {
		for i := range p.route.outgoing {
			e := &p.route.outgoing[i]
			if err := p.srv.call(e, e.Outgoing, p.ctx, p.from, p.message); err != nil {
				return err
			}
		}
		if err := p.reread(); err != nil {
			return err
		}
	}
	if h := p.srv.history; h != nil && h.Keeps(p.channel.name) {
		return p.keep()
	}
	return p.send()
}

// send queues the message as it is now for every subscriber.
func (p *publishing) send() error {
	e, err := p.encode()
	if err != nil {
		return err
	}
	p.delivered(p.deliver(e), len(e.text))
	return nil
}

// delivered tells of a message that was queued.
func (p *publishing) delivered(subscribers, bytes int) {
	p.srv.stats.published.Add(1)
	if f := p.srv.hooks.Published; f != nil {
		f(p.channel.name, subscribers, bytes)
	}
}

// encode makes the event: without clientId and id, which are its publisher's.
func (p *publishing) encode() (*event, error) {
	e := &event{channel: p.channel, lazy: p.route.options.Lazy != 0, born: p.srv.sweeps.Load(), places: casting}
	if p.message != nil && len(p.message.Ext) > 0 {
		text, err := codec.AppendMessage(nil, &bayeux.Message{Channel: p.channel.name, Data: p.message.Data, Ext: p.message.Ext})
		e.text = text
		return e, err
	}
	prefix := p.channel.prefix
	e.text = codec.AppendPrefixed(make([]byte, 0, len(prefix)+p.data.Len()+1), prefix, p.data)
	return e, nil
}

// deliver queues e for every subscriber and returns how many there are. A
// channel that was swept while user code looked at the message is made again, and
// who has subscribed to a new pattern meanwhile is not missed.
func (p *publishing) deliver(e *event) int {
	p.mute, p.wakes.taken = p.silent(), 0
	var copies map[*Session]*event
	for {
		if copies == nil && (len(p.route.deliver) > 0 || p.srv.personal.Load() > 0) {
			copies = make(map[*Session]*event)
		}
		n, ok := 0, false
		if copies != nil {
			n, ok = p.queueEach(e, copies)
		} else {
			n, ok = p.queue(e)
		}
		if ok {
			p.srv.cast(e, p.wakes.taken)
			p.unsettle()
			if p.route.options.SendLast {
				p.srv.trimLasts(p.from)
			}
			p.wakes.full = p.wakes.full || p.srv.full()
			return n
		}
		p.unsettle()
		p.onto(p.srv.createChannel(p.channel.name, p.from))
		e.channel = p.channel
	}
}

// current reports whether the channel and the route are those of now: neither has
// the channel been swept, nor is there a pattern that the route does not know.
// Where the channel keeps its latest message, who gets it is settled here. The
// caller holds the channel's order.
func (p *publishing) current() bool {
	if p.channel.gone {
		return false
	}
	if p.route.options.SendLast {
		p.settleAudience()
	}
	return p.route.generation == p.srv.channels.generation.Load()
}

// begin notes a message on its channel, whose order the caller holds.
func (p *publishing) begin(e *event) {
	ch := p.channel
	ch.published.Add(1)
	ch.idle.Store(0)
	if p.route.options.SendLast {
		p.keepLast(e)
	} else if ch.last != nil {
		p.srv.channels.lasts.drop(ch) // it was to keep one once
	}
}

// silent reports whether the publisher does not get its own message
// (docs/protocol.md §3.4).
func (p *publishing) silent() bool {
	return p.from != nil && (p.route.options.NoEcho || p.srv.noEcho || p.from.noEcho.Load())
}

// queue puts e into every subscriber's outbox and returns how many there are. It
// does not if a session has an extension that wants to see its own: who subscribes
// after that has begun may be among the subscribers, so it is looked at when they
// are settled.
func (p *publishing) queue(e *event) (n int, ok bool) {
	ch := p.channel
	ch.order.Lock()
	defer ch.order.Unlock()
	if !p.current() {
		return 0, false
	}
	busiest, patterns := p.heard()
	if patterns > 1 && len(p.settled) == 0 {
		p.takeSnapshots()
	}
	now := p.subscribers(busiest)
	if p.srv.personal.Load() > 0 {
		return 0, false
	}
	p.begin(e)
	switch patterns {
	case 0:
		return 0, true
	case 1:
		return p.queueAll(e, now), true
	default:
		return p.queueOnce(e, busiest), true
	}
}

// queueAll is queue where only one pattern has subscribers. It is a loop, as a
// function that is yielded to would be garbage after each message.
func (p *publishing) queueAll(e *event, now snapshot) (n int) {
	for i := range now.chunks {
		c := now.chunk(i)
		for k := range c {
			n += p.give(c[k].session, e)
		}
	}
	return n
}

// queueOnce is queue where several have.
func (p *publishing) queueOnce(e *event, busiest int) (n int) {
	p.eachOnce(busiest, func(s *Session) bool {
		n += p.give(s, e)
		return true
	})
	return n
}

// give puts e into the outbox of one session and returns 1 if that takes any.
func (p *publishing) give(s *Session, e *event) int {
	if p.mute && s == p.from || !s.push(e, &p.route.options, p.wakes) {
		return 0
	}
	return 1
}

// queueEach is queue for messages that extensions want to see once per
// subscriber: each gets a message of its own, and pays for its encoding. The
// order of the channel holds all the same, because all is encoded before
// anything is queued, also for those who have subscribed meanwhile. copies are
// those that were made before, and nil for whom one was deleted.
func (p *publishing) queueEach(e *event, copies map[*Session]*event) (n int, ok bool) {
	ch := p.channel
	for {
		p.unsettle()
		for _, s := range slices.Collect(p.audience()) {
			if _, has := copies[s]; !has && !(p.mute && s == p.from) {
				copies[s] = p.eventFor(s, e)
			}
		}
		ch.order.Lock()
		if !p.current() {
			ch.order.Unlock()
			return 0, false
		}
		if p.reaches(copies) {
			break
		}
		ch.order.Unlock()
	}
	defer ch.order.Unlock()
	p.begin(e)
	for s := range p.audience() {
		own := copies[s]
		if own == nil {
			continue
		}
		push := s.pushAlone
		if own == e {
			push = s.push
		} else {
			own.channel = ch
		}
		if push(own, &p.route.options, p.wakes) {
			n++
		}
	}
	return n, true
}

// reaches reports whether there is a copy for everybody who is to have one.
func (p *publishing) reaches(copies map[*Session]*event) bool {
	for s := range p.audience() {
		if _, has := copies[s]; !has && !(p.mute && s == p.from) {
			return false
		}
	}
	return true
}

// eventFor is e as the extensions leave it for one subscriber; nil if one
// deletes it.
func (p *publishing) eventFor(s *Session, e *event) *event {
	if !p.shown(s) {
		return e
	}
	m := &bayeux.Message{Channel: p.channel.name, Data: p.data.AppendTo(nil)}
	if p.message != nil {
		m.Ext = p.message.Clone().Ext
	}
	ctx := p.context()
	for i := range p.route.deliver {
		if x := &p.route.deliver[i]; p.srv.call(x, x.Deliver, ctx, s, m) != nil {
			return nil
		}
	}
	for _, x := range slices.Backward(s.extended()) {
		if x.matches(m.Channel) && p.srv.call(&x, x.Deliver, ctx, s, m) != nil {
			return nil
		}
	}
	text, err := codec.AppendMessage(nil, m)
	if err != nil {
		p.srv.logRepeated(slog.LevelError, "message cannot be encoded", "", slog.String("channel", p.channel.name), slog.Any("err", err))
		return nil
	}
	return &event{text: text, channel: e.channel, lazy: e.lazy, born: e.born}
}

// ownOf is e, which was published on ch before, as the extensions leave it for one
// subscriber of now; nil if one deletes it.
func (srv *Server) ownOf(ctx context.Context, s *Session, ch string, e *event) *event {
	if !srv.delivers() {
		return e // without a route, of which there may be very many to make
	}
	p := publishing{srv: srv, ctx: ctx, channel: &channel{name: ch}, route: srv.channels.routeByName(ch)}
	if !p.shown(s) {
		return e
	}
	p.message = new(bayeux.Message)
	if p.message.UnmarshalJSON(e.text) != nil || p.reread() != nil {
		return e
	}
	return p.eventFor(s, e)
}

// delivers reports whether any extension wants to see what sessions get.
func (srv *Server) delivers() bool {
	return srv.personal.Load() > 0 || slices.ContainsFunc(srv.extensions, func(x Extension) bool { return x.Deliver != nil })
}

// shown reports whether an extension wants to see what s gets.
func (p *publishing) shown(s *Session) bool {
	return len(p.route.deliver) > 0 || slices.ContainsFunc(s.extended(), func(x Extension) bool {
		return x.Deliver != nil && x.matches(p.channel.name)
	})
}

// context is that of the publisher.
func (p *publishing) context() context.Context {
	if p.ctx == nil {
		return context.Background()
	}
	return p.ctx
}

// heard counts the route's patterns that have subscribers, and says where the
// one with the most is.
func (r *route) heard() (busiest, patterns int) {
	most := 0
	for i, c := range r.patterns {
		n := c.subs.len()
		if n > 0 {
			patterns++
		}
		if n > most {
			busiest, most = i, n
		}
	}
	return busiest, patterns
}

// heard is route.heard of those who are to get the message.
func (p *publishing) heard() (busiest, patterns int) {
	if len(p.settled) == 0 {
		return p.route.heard()
	}
	for i, now := range p.settled {
		if now.n > 0 {
			patterns++
		}
		if now.n > p.settled[busiest].n {
			busiest = i
		}
	}
	return busiest, patterns
}

// subscribers are those to a pattern of the route who are to get the message.
func (p *publishing) subscribers(i int) snapshot {
	if len(p.settled) == 0 {
		return p.route.patterns[i].subs.snapshot()
	}
	return p.settled[i]
}

// audience yields each session that is subscribed to one of the route's
// patterns, once.
func (p *publishing) audience() iter.Seq[*Session] {
	busiest, patterns := p.heard()
	if patterns == 0 {
		return func(func(*Session) bool) {}
	}
	return func(yield func(*Session) bool) { p.eachOnce(busiest, yield) }
}

// eachOnce walks the patterns. The busiest goes last, because its sessions
// need not be remembered, only looked up.
func (p *publishing) eachOnce(busiest int, yield func(*Session) bool) {
	met := sets.Get().(map[*Session]struct{})
	defer func() {
		clear(met)
		sets.Put(met)
	}()
	for i := range p.route.patterns {
		if i == busiest {
			continue
		}
		for s := range p.subscribers(i).all() {
			if _, again := met[s]; again {
				continue
			}
			met[s] = struct{}{}
			if !yield(s) {
				return
			}
		}
	}
	for s := range p.subscribers(busiest).all() {
		if _, again := met[s]; !again && !yield(s) {
			return
		}
	}
}

var sets = sync.Pool{New: func() any { return map[*Session]struct{}{} }}
