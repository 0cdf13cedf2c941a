package replayserver

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/server"
)

// An Option configures the history of a server.
type Option func(*history)

// WithLast gives those who subscribe to channels that match pattern without
// asking for a position the last n messages, or what is left of them: 1 is the
// latest value. A subscription to a pattern gets the last n of all its channels
// together. The first such option that matches counts.
func WithLast(pattern string, n int) Option {
	return func(h *history) { h.last = append(h.last, lastRule{pattern, n}) }
}

type lastRule struct {
	pattern string
	n       int
}

// New keeps the messages of the channels that store wants, and replays them. It
// is one server's. Close the store after the server. It fails if the store
// cannot be read.
func New(store Store, opts ...Option) (server.Option, error) {
	h := &history{store: store}
	var err error
	if _, h.delivered, err = store.Bounds("/**"); err != nil {
		return nil, fmt.Errorf("replayserver: %w", err)
	}
	for _, o := range opts {
		o(h)
	}
	return server.Options(
		server.WithHistory(&server.History{Keeps: store.Keeps, Append: h.append, Join: h.join}),
		server.WithExtension(server.Extension{
			Name:     "replay",
			Channels: []string{bayeux.MetaHandshake},
			Incoming: h.shake,
			Outgoing: h.shaken,
			Closed:   h.readers.Wait,
		}),
	), nil
}

type history struct {
	store   Store
	last    []lastRule
	readers sync.WaitGroup

	// mu is held while a message is delivered, so that a reader which has read
	// all that was delivered can make its subscription live in between.
	mu        sync.Mutex
	delivered replay.ID
}

var offered = server.NewAttr[bool]("replay")

func (h *history) shake(_ context.Context, s *server.Session, m *bayeux.Message) error {
	if v, ok := m.Ext[replay.Name]; ok && string(v) != "false" && string(v) != "null" {
		offered.Set(s, true)
	}
	return nil
}

func (h *history) shaken(_ context.Context, s *server.Session, m *bayeux.Message) error {
	if yes, _ := offered.Get(s); yes && m.Outcome == bayeux.Succeeded {
		return m.Ext.Set(replay.Name, true)
	}
	return nil
}

// append keeps one message, and has it delivered when it is safe.
func (h *history) append(_ context.Context, ch string, data codec.Raw, deliver func(codec.Raw)) (wait func() error) {
	text := data.AppendTo(nil)
	outcome := make(chan error, 1)
	compose := func(id replay.ID) []byte { return withID(text, id) }
	h.store.Append(ch, compose, func(id replay.ID, data []byte, err error) {
		if err == nil {
			err = h.deliver(id, data, deliver)
		}
		outcome <- err
	})
	return func() error { return <-outcome }
}

func (h *history) deliver(id replay.ID, data []byte, deliver func(codec.Raw)) error {
	raw, err := codec.Encode(json.RawMessage(data))
	if err != nil {
		return fmt.Errorf("replayserver: message %d: %w", id, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	deliver(raw)
	h.delivered = id
	return nil
}

// join finds out where a subscription wants to begin.
func (h *history) join(_ context.Context, s *server.Session, ch string, m *bayeux.Message) (func(*server.Joining), error) {
	after, err := h.position(ch, m)
	if err != nil || after == replay.New {
		return nil, err
	}
	return func(j *server.Joining) { h.readers.Go(func() { h.read(j, after) }) }, nil
}

// position is the id after which a subscription begins, or replay.New.
func (h *history) position(ch string, m *bayeux.Message) (replay.ID, error) {
	id, asked, err := asked(ch, m)
	if err != nil {
		return 0, err
	}
	if !asked {
		return h.lastOf(ch)
	}
	if id == replay.New || id == replay.All {
		return map[replay.ID]replay.ID{replay.New: replay.New, replay.All: 0}[id], nil
	}
	gone, last, err := h.store.Bounds(ch)
	if err != nil {
		return 0, err
	}
	if id < gone || id > last {
		return 0, invalid(string(fmt.Append(nil, int64(id))))
	}
	return id, nil
}

// asked reads the position that a subscribe wants for ch. Clients may send the
// positions of all their channels, and ids as strings (docs/protocol.md §17).
func asked(ch string, m *bayeux.Message) (id replay.ID, ok bool, err error) {
	var positions map[string]json.RawMessage
	if ok, err := m.Ext.Decode(replay.Name, &positions); !ok || err != nil {
		return 0, false, nil // not a map: not a position
	}
	v, ok := positions[ch]
	if !ok {
		return 0, false, nil
	}
	id, ok = replay.ParseID(v)
	if !ok || id < replay.All {
		return 0, false, invalid(strings.Trim(string(v[:min(len(v), 32)]), `"`))
	}
	return id, true, nil
}

// invalid refuses a position as Salesforce does, in its form if not its words.
func invalid(id string) error {
	return &bayeux.Error{Code: 400, Message: "The replayId {" + id + "} is not valid or no longer retained. Use -2 for all retained events or -1 for new ones only"}
}

func (h *history) lastOf(ch string) (replay.ID, error) {
	for _, l := range h.last {
		if l.pattern == ch || bayeux.Channel(l.pattern).Match(ch) {
			return h.store.Tail(ch, l.n)
		}
	}
	return replay.New, nil
}

// rounds is how often a reader catches up with deliveries that go on meanwhile
// before it holds them up for the last few messages.
const rounds = 4

// read delivers the past, at the pace of the session, until it has reached the
// present. When it cannot, its session ends as one that has expired does: its
// client makes a new one, asks again from where it is, and is told if that is
// gone. Rather that than a gap that nobody hears of.
func (h *history) read(j *server.Joining, after replay.ID) {
	for n := 0; ; n++ {
		h.mu.Lock()
		upTo := h.delivered
		near := n >= rounds && upTo-after <= chunk
		if upTo <= after || near {
			ok := h.send(j, after, upTo, false)
			if j.Live(); !ok {
				j.Session.Expire(time.Now(), 0)
			}
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		if !h.send(j, after, upTo, true) {
			j.Session.Expire(time.Now(), 0)
			return
		}
		after = upTo
	}
}

// send delivers the messages after one id and up to another, with pauses if the
// outbox fills. It is false if it could not, or if some have gone meanwhile.
func (h *history) send(j *server.Joining, after, upTo replay.ID, pause bool) bool {
	for after < upTo {
		var some []Message
		err := h.store.Read(j.Context(), j.Channel, after, upTo, func(m Message) bool {
			some = append(some, m)
			return len(some) < chunk
		})
		if err != nil || after > 0 && h.overtaken(j.Channel, after) {
			return j.Context().Err() != nil
		}
		for _, m := range some {
			if pause && j.Room() != nil {
				return true
			}
			if raw, err := codec.Encode(json.RawMessage(m.Data)); err == nil {
				j.Send(m.Channel, raw)
			}
			after = m.ID
		}
		if len(some) < chunk {
			return true
		}
	}
	return true
}

// overtaken reports whether the store has let go of messages after an id.
func (h *history) overtaken(ch string, after replay.ID) bool {
	gone, _, err := h.store.Bounds(ch)
	return err != nil || gone > after
}
