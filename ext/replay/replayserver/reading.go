package replayserver

import (
	"encoding/json"
	"errors"
	"log/slog"
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
// present, and returns nil, or the reading to go on with.
func (h *history) read(r *reading) (unfinished *reading) {
	if r.Room() != nil {
		return nil
	}
	h.mu.Lock()
	upTo := h.delivered
	near := r.rounds >= rounds && (upTo-r.after <= few || r.last > 0)
	if upTo <= r.after || near {
		err := h.send(r, upTo, r.HasRoom)
		reached := err == nil && r.after >= upTo
		if reached {
			r.sendMark()
			r.Live()
		}
		h.mu.Unlock()
		if err != nil {
			return h.failed(r, err) // not live before: what follows would hide what is missing
		}
		if reached {
			return nil
		}
		return r // when there is room again
	}
	h.mu.Unlock()
	n := 0
	err := h.send(r, upTo, func() bool {
		n++
		return r.Room() == nil && (n <= turn || !h.waits(r.Session))
	})
	if err != nil || r.ended() {
		return h.failed(r, err)
	}
	return r
}

// failed says how a reading goes on after err. Where a message is missing its session
// ends as one that has expired does: its client makes a new one, asks again from where
// it is, and is told if that is gone. Rather that than a gap that nobody hears of.
func (h *history) failed(r *reading, err error) (unfinished *reading) {
	if r.ended() {
		return nil
	}
	if s, is := errors.AsType[*spoiled](err); is {
		h.report("message of the history is spoiled", slog.String("channel", s.of.Channel), slog.Int64("id", int64(s.of.ID)), slog.Any("err", s.why))
		if !r.goesOn() {
			return r // what can be read is all there is
		}
		h.lose(s.of)
	} else if !errors.Is(err, ErrTrimmed) {
		h.report("history cannot be read", slog.String("channel", r.Channel), slog.Any("err", err))
	}
	r.Session.Expire(time.Now(), 0)
	return nil
}

// goesOn reports whether the client has been somewhere: it misses what is missing.
func (r *reading) goesOn() bool { return r.beginning.after > 0 }

// spoiled is why a message is not sent that is kept, but is not what was kept.
type spoiled struct {
	of  Message
	why error
}

func (s *spoiled) Error() string { return s.why.Error() }

// lose has a message that is spoiled count as gone, so that positions before it are
// refused.
func (h *history) lose(m Message) {
	h.turns.Lock()
	defer h.turns.Unlock()
	h.lost[m.Channel] = max(h.lost[m.Channel], m.ID)
}

// lostOver is the last id that is lost of the channels that match pattern.
func (h *history) lostOver(pattern string) (id replay.ID) {
	h.turns.Lock()
	defer h.turns.Unlock()
	for ch, lost := range h.lost {
		if ch == pattern || bayeux.Channel(pattern).Match(ch) {
			id = max(id, lost)
		}
	}
	return id
}

// send sends the messages up to an id, as long as may says so before each. It
// fails if some have gone meanwhile, and where one is spoiled: who goes on leaves
// that out.
func (h *history) send(r *reading, upTo replay.ID, may func() bool) error {
	if r.after >= upTo {
		return nil
	}
	all := true
	var bad *spoiled
	err := h.between(r, upTo, func(m Message) bool {
		if !may() {
			all = false
			return false
		}
		r.after = m.ID
		if err := r.send(m); err != nil {
			bad = &spoiled{m, err}
		}
		return bad == nil
	})
	if bad != nil {
		return bad
	}
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

// send sends one message, with its number to a client that has given it one. It fails
// if the data is not the JSON that it was when it was published.
func (r *reading) send(m Message) error {
	if len(m.Data) == 0 {
		return errNoData
	}
	if r.number == 0 {
		raw, err := codec.Encode(json.RawMessage(m.Data))
		if err == nil {
			r.Send(m.Channel, raw)
		}
		return err
	}
	past := &bayeux.Message{Channel: m.Channel, Data: m.Data}
	err := past.Ext.Set(replay.Marks, r.number)
	if err == nil {
		err = r.SendMessage(past)
	}
	return err
}

var errNoData = errors.New("message without data")

// sendMark says that the past ends here.
func (r *reading) sendMark() {
	if r.number == 0 {
		return
	}
	if data, err := json.Marshal(replay.Mark{Live: r.number}); err == nil {
		_ = r.SendMessage(&bayeux.Message{Channel: replay.Channel, Data: data})
	}
}
