package replay

import (
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/gocometd/cometd/bayeux"
)

// What Incoming deletes.
var (
	errRepeated = errors.New("replay: the message has come before, or will come with the past")
	errMark     = errors.New("replay: not an event")
)

// receive notes the id of an event and who is to get it, and takes off the
// envelope.
func (x *extension) receive(m *bayeux.Message) error {
	var of int64 // whose past it belongs to; 0: none's
	var id ID
	ok := false
	if len(m.Data) > 0 {
		id, ok = x.Of(m.Data)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(m.Ext) > 0 {
		if x.session.marks {
			_, _ = m.Ext.Decode(Marks, &of)
			delete(m.Ext, Marks)
		}
		delete(m.Ext, Name) // a publisher's own is no id
	}
	if !ok {
		return nil
	}
	if err := m.Ext.Set(Name, id); err != nil { // for done, which gets the message as it is now
		return err
	}
	var inside map[string]json.RawMessage
	if strings.Contains(string(m.Data), `"`+Envelope+`"`) && json.Unmarshal(m.Data, &inside) == nil && len(inside) == 2 && inside[Envelope] != nil {
		m.Data = inside[Envelope]
	}
	x.event, x.wanted = m, x.wanted[:0]
	if of > 0 {
		x.receivePast(of, id)
	} else {
		x.receiveLive(m.Channel, id)
	}
	if x.session.marks && len(x.wanted) == 0 {
		return errRepeated
	}
	return nil
}

// receiveLive is for what is published: those that are still at the past get it
// when they have come there.
func (x *extension) receiveLive(ch string, id ID) {
	for key := range x.matching(ch) {
		p := x.keys[key]
		if p == nil || x.stageOf(p) != live || x.session.marks && id <= p.received {
			continue
		}
		x.take(key, p, max(id, p.received))
	}
}

// longChannel is where a channel has so many patterns that it is cheaper to look
// through those that are known.
const longChannel = 512

// matching are the patterns for ch that may have a position.
func (x *extension) matching(ch string) iter.Seq[string] {
	if len(ch) <= longChannel {
		return bayeux.Channel(ch).Patterns
	}
	return func(yield func(string) bool) {
		for key := range x.keys {
			if bayeux.Channel(key).Match(ch) && !yield(key) {
				return
			}
		}
	}
}

// receivePast is for a message of before that only one of the keys has asked
// for.
func (x *extension) receivePast(of int64, id ID) {
	if key, p := x.asker(of); p != nil && id > p.received {
		p.stage = past
		x.take(key, p, id)
	}
}

func (x *extension) take(key string, p *position, id ID) {
	if p.first == 0 {
		p.first = id
	}
	p.received, p.heard, p.known, p.refused = id, time.Now(), true, false
	x.wanted = append(x.wanted, key)
}

// mark reads where the past of a subscription ends.
func (x *extension) mark(m *bayeux.Message) error {
	var mark Mark
	if json.Unmarshal(m.Data, &mark) != nil || mark.Live == 0 {
		return nil // somebody else's
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, p := x.asker(mark.Live); p != nil {
		p.stage = live
	}
	return errMark
}

// selects keeps a message with an id from those who have not asked yet, are
// still at the past, or have had it.
func (x *extension) selects(ch string, m *bayeux.Message) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.session.marks || m != x.event || slices.Contains(x.wanted, ch)
}
