package replayserver

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/server"
)

// An Option configures the history of a server.
type Option func(*history) error

// WithLast gives those who subscribe to channels that match pattern without
// asking for a position the last n messages, or what is left of them: 1 is the
// latest value. A subscription to a pattern gets the last n of all its channels
// together. While such a subscription begins, one at a time of each session, n
// messages are held in memory; where others are published faster than its client takes
// them, it gets the last n of those. The first such option that matches counts; with
// n 0 it gives nothing. [New] fails if pattern is illegal or n negative.
func WithLast(pattern string, n int) Option {
	return func(h *history) error {
		p, err := parsePattern(pattern)
		if err == nil && n < 0 {
			err = fmt.Errorf("the last %d messages of %s", n, p)
		}
		h.last = append(h.last, lastRule{p, n})
		return err
	}
}

type lastRule struct {
	pattern string
	n       int
}

// New keeps the messages of the channels that store wants, and replays them. It
// is one server's. Close the store after the server. It fails if the store
// cannot be read, or for a bad option.
func New(store Store, opts ...Option) (server.Option, error) {
	h := &history{store: store, log: slog.New(slog.DiscardHandler)}
	h.readings, h.lost, h.reports = map[*server.Session][]*reading{}, map[string]replay.ID{}, map[string]*reports{}
	var err error
	if _, h.delivered, err = store.Bounds("/**"); err != nil {
		return nil, fmt.Errorf("replayserver: %w", err)
	}
	for _, o := range opts {
		if o == nil {
			continue
		}
		if err := o(h); err != nil {
			return nil, fmt.Errorf("replayserver: %w", err)
		}
	}
	return server.Options(
		server.WithHistory(&server.History{Keeps: store.Keeps, Append: h.append, Join: h.join, Ext: []string{replay.Name, replay.Marks}}),
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
	log     *slog.Logger
	last    []lastRule
	readers sync.WaitGroup

	// mu is held while a message is delivered, so that a reader which has read
	// all that was delivered can make its subscription live in between.
	mu        lock.Turn[lock.Delivering]
	delivered replay.ID

	turns    lock.Mutex[lock.Turns]
	readings map[*server.Session][]*reading // those whose turn it is not, of sessions that have a reader
	lost     map[string]replay.ID           // the last message of a channel of the store that was found to be spoiled
	reports  map[string]*reports            // by their text
}

var (
	offered = server.NewAttr[bool]("replay")
	marks   = server.NewAttr[bool]("replay.marks")
)

func (h *history) shake(_ context.Context, s *server.Session, m *bayeux.Message) error {
	if string(m.Ext[replay.Marks]) == "true" {
		marks.Set(s, true)
	}
	if v, ok := m.Ext[replay.Name]; ok && string(v) != "false" && string(v) != "null" {
		offered.Set(s, true)
	}
	return nil
}

func (h *history) shaken(_ context.Context, s *server.Session, m *bayeux.Message) error {
	if m.Outcome != bayeux.Succeeded {
		return nil
	}
	for name, attr := range map[string]*server.Attr[bool]{replay.Name: offered, replay.Marks: marks} {
		if yes, _ := attr.Get(s); yes {
			if err := m.Ext.Set(name, true); err != nil {
				return err
			}
		}
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

// A beginning is where a subscription begins: after an id, or with the last
// messages.
type beginning struct {
	after  replay.ID
	last   int
	number int64 // that its client has given it, and can read; 0: none
}

// join finds out where the subscriptions of a message want to begin.
func (h *history) join(_ context.Context, _ *server.Session, m *bayeux.Message) func(ch string) (func(*server.Joining), error) {
	a := parseAsking(m)
	return func(ch string) (func(*server.Joining), error) {
		b, err := h.beginning(ch, a)
		if err != nil || b.after == replay.New && b.last <= 0 {
			return nil, err
		}
		b.number = a.number(ch)
		return func(j *server.Joining) { h.begin(j, b) }, nil
	}
}

func (h *history) beginning(ch string, a *asking) (b beginning, err error) {
	id, asked, err := a.position(ch)
	switch {
	case err != nil:
		return b, err
	case !asked:
		return beginning{after: replay.New, last: h.lastOf(ch)}, nil
	case id == replay.New:
		return beginning{after: id}, nil
	case id == replay.All:
		return b, nil
	}
	gone, last, err := h.store.Bounds(ch)
	if err != nil {
		return b, err
	}
	if id < max(gone, h.lostOver(ch)) || id > last {
		return b, invalid(string(fmt.Append(nil, int64(id))))
	}
	return beginning{after: id}, nil
}

// invalid refuses a position as Salesforce does, in its form if not its words.
func invalid(id string) error {
	return &bayeux.Error{Code: 400, Message: "The replayId {" + id + "} is not valid or no longer retained. Use -2 for all retained events or -1 for new ones only"}
}

// lastOf is how many messages of before a subscription to ch gets unasked.
func (h *history) lastOf(ch string) int {
	for _, l := range h.last {
		if l.pattern == ch || bayeux.Channel(l.pattern).Match(ch) {
			return l.n
		}
	}
	return 0
}
