package replay

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/gocometd/cometd/bayeux"
)

// A stored position is what the store has said.
type stored struct {
	id     ID
	found  bool
	failed bool
}

func (x *extension) outgoing(ctx context.Context, m *bayeux.Message) error {
	if m.Channel == bayeux.MetaHandshake {
		return errors.Join(m.Ext.Set(Name, true), m.Ext.Set(Marks, true))
	}
	if m.Channel == bayeux.MetaConnect {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.goOn(m.ClientID)
		return nil
	}
	return x.subscribe(ctx, m)
}

// subscribe says where the channels of m begin.
func (x *extension) subscribe(ctx context.Context, m *bayeux.Message) error {
	positions := map[string]ID{}
	own, err := m.Ext.Decode(Name, &positions)
	if positions == nil { // of a null
		positions = map[string]ID{}
	}
	a := asking{own: own && err == nil && len(positions) > 0} // the program knows better where to begin
	for _, ch := range m.Subscription.Channels {
		a.keys = append(a.keys, string(bayeux.Channel(ch).WithoutFilter()))
	}
	for loaded := map[string]stored{}; ; {
		missing, err := x.ask(m, a, positions, loaded)
		if len(missing) == 0 {
			return err
		}
		x.load(ctx, missing, loaded)
	}
}

// ask puts into m where its channels go on. It does nothing but say so if the
// store must be asked for some of them first.
func (x *extension) ask(m *bayeux.Message, a asking, positions map[string]ID, loaded map[string]stored) (missing []string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.session.on {
		return nil, nil
	}
	_, again := x.session.asked[m.ID]
	a.own = a.own && slices.ContainsFunc(a.keys, func(key string) bool { return !x.goesOn(x.key(key), again) })
	if missing = x.missing(a, loaded); len(missing) > 0 {
		return missing, nil
	}
	for _, key := range a.keys {
		if a.own && !x.goesOn(x.key(key), again) {
			x.begin(key, cmp.Or(positions[key], New))
		} else {
			positions[key] = x.begin(key, x.position(key, loaded[key]))
		}
	}
	x.session.asked[m.ID] = a
	err = m.Ext.Set(Name, positions)
	if x.session.marks {
		err = errors.Join(err, m.Ext.Set(Marks, x.numbered(a.keys)))
	}
	return nil, err
}

// missing are the keys that go on at what is stored, and that is not known.
func (x *extension) missing(a asking, loaded map[string]stored) (missing []string) {
	for _, key := range a.keys {
		p := x.key(key)
		if _, known := loaded[key]; !known && !a.own && !p.begun() {
			missing = append(missing, key)
		}
	}
	return missing
}

func (x *extension) load(ctx context.Context, keys []string, loaded map[string]stored) {
	for _, key := range keys {
		id, found, err := x.Store.Load(ctx, key)
		if err != nil {
			x.Failed(key, err)
		}
		loaded[key] = stored{id, found, err != nil}
	}
}

// begin notes that a session asks for key at a position. One that it asks for
// again, because the reply was lost, it asks for as it did before.
func (x *extension) begin(key string, at ID) ID {
	p := x.key(key)
	if x.session.marks && x.stageOf(p) != unasked {
		return p.asked
	}
	if p.stage = live; x.session.marks && at != New {
		p.stage = past
	}
	x.last++
	delete(x.numbers, p.number)
	x.numbers[x.last] = key
	p.in, p.asked, p.number = x.session, at, x.last
	return at
}

func (x *extension) numbered(keys []string) map[string]int64 {
	numbers := map[string]int64{}
	for _, key := range keys {
		numbers[key] = x.keys[key].number
	}
	return numbers
}

// asker is the key that has asked under a number in this session, if any; what
// an earlier session or subscription asked for may still be on its way.
func (x *extension) asker(n int64) (string, *position) {
	key := x.numbers[n]
	if p := x.keys[key]; p != nil && x.stageOf(p) != unasked {
		return key, p
	}
	return "", nil
}

func (x *extension) key(key string) *position {
	p := x.keys[key]
	if p == nil {
		p = &position{}
		x.keys[key] = p
	}
	return p
}

// position is where key goes on. What was received and waits to be handled is
// not asked for again.
func (x *extension) position(key string, s stored) ID {
	p := x.key(key)
	switch {
	case p.refused:
		return x.Expired
	case p.received > 0:
		return p.received
	case s.failed:
	case s.found:
		p.known = true
		return s.id
	case p.first > 0 && x.session.marks:
		p.known = true
		return p.first - 1 // nothing was handled
	}
	p.known = x.First != New
	return x.First
}
