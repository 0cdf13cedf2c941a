package replayserver

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/server"
)

const (
	// rounds is how often a reader catches up with deliveries that go on
	// meanwhile before it holds them up for the last few messages.
	rounds = 4
	few    = 256

	// turn is how many messages one subscription gets before the next of its
	// session has its turn.
	turn = 1024
)

// A reading is a subscription whose past is on its way.
type reading struct {
	*server.Joining
	beginning
	after  replay.ID // it has all up to here
	rounds int
}

// begin has the past of a subscription delivered. The subscriptions of one
// session, who all wait for one client, have one reader: however many there are,
// and whatever the client takes, one of them has messages in hand.
func (h *history) begin(j *server.Joining, b beginning) {
	r := &reading{Joining: j, beginning: b, after: max(b.after, 0)}
	h.turns.Lock()
	defer h.turns.Unlock()
	others, reads := h.readings[j.Session]
	if len(others) == cap(others) { // its client may subscribe and unsubscribe without end
		others = slices.DeleteFunc(others, (*reading).ended)
	}
	h.readings[j.Session] = append(others, r)
	if !reads {
		h.readers.Go(func() {
			for r := h.next(j.Session, nil); r != nil; {
				r = h.next(j.Session, h.read(r))
			}
		})
	}
}

func (r *reading) ended() bool { return r.Context().Err() != nil }

// next returns the reading whose turn it is, nil if there is none. Last had its
// turn, and is not through if it is not nil.
func (h *history) next(s *server.Session, last *reading) *reading {
	h.turns.Lock()
	defer h.turns.Unlock()
	all := h.readings[s]
	if last != nil {
		all = append(all, last)
	}
	if len(all) == 0 {
		delete(h.readings, s)
		return nil
	}
	r := all[0]
	all[0] = nil
	h.readings[s] = all[1:]
	return r
}

// waits reports whether another subscription waits for its turn.
func (h *history) waits(s *server.Session) bool {
	h.turns.Lock()
	defer h.turns.Unlock()
	return len(h.readings[s]) > 0
}

// read delivers the past, at the pace of the session, until it has reached the
// present, and returns nil, or the reading to go on with. When it cannot, its
// session ends as one that has expired does: its client makes a new one, asks
// again from where it is, and is told if that is gone. Rather that than a gap
// that nobody hears of.
func (h *history) read(r *reading) (unfinished *reading) {
	if r.Room() != nil {
		return nil
	}
	h.mu.Lock()
	upTo := h.delivered
	near := r.rounds >= rounds && (upTo-r.after <= few || r.last > 0)
	if upTo <= r.after || near {
		defer h.mu.Unlock()
		err := h.send(r, upTo, r.HasRoom)
		switch {
		case err != nil:
			r.fail(err) // not live before: what follows would hide what is missing
		case r.after < upTo:
			return r // when there is room again
		default:
			r.sendMark()
			r.Live()
		}
		return nil
	}
	h.mu.Unlock()
	n := 0
	err := h.send(r, upTo, func() bool {
		n++
		return r.Room() == nil && (n <= turn || !h.waits(r.Session))
	})
	if err != nil || r.ended() {
		r.fail(err)
		return nil
	}
	return r
}

// fail ends the session, unless the subscription has ended before.
func (r *reading) fail(err error) {
	if err != nil && !r.ended() {
		r.Session.Expire(time.Now(), 0)
	}
}

// send sends the messages up to an id, as long as may says so before each. It
// fails if some have gone meanwhile.
func (h *history) send(r *reading, upTo replay.ID, may func() bool) error {
	if r.after >= upTo {
		return nil
	}
	all := true
	err := h.between(r, upTo, func(m Message) bool {
		if all = may(); all {
			r.send(m)
			r.after = m.ID
		}
		return all
	})
	if err == nil && all {
		r.after = upTo
		r.rounds++
	}
	return err
}

// between calls f for the messages up to an id that a subscription has yet to
// get.
func (h *history) between(r *reading, upTo replay.ID, f func(Message) bool) error {
	if r.last <= 0 {
		return h.store.Read(r.Context(), r.Channel, r.after, upTo, f)
	}
	some, err := h.store.Tail(r.Channel, r.last)
	for _, m := range some {
		if r.after < m.ID && m.ID <= upTo && !f(m) {
			break
		}
	}
	return err
}

// send sends one message, with its number to a client that has given it one.
func (r *reading) send(m Message) {
	if r.number == 0 {
		if raw, err := codec.Encode(json.RawMessage(m.Data)); err == nil {
			r.Send(m.Channel, raw)
		}
		return
	}
	past := &bayeux.Message{Channel: m.Channel, Data: m.Data}
	if past.Ext.Set(replay.Marks, r.number) == nil {
		_ = r.SendMessage(past) // it was JSON when it was published
	}
}

// sendMark says that the past ends here.
func (r *reading) sendMark() {
	if r.number == 0 {
		return
	}
	if data, err := json.Marshal(replay.Mark{Live: r.number}); err == nil {
		_ = r.SendMessage(&bayeux.Message{Channel: replay.Channel, Data: data})
	}
}
