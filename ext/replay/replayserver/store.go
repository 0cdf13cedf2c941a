package replayserver

import (
	"context"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
)

// A Rule says which messages a [Store] keeps and for how long. Channels that no
// rule matches have no history; the first rule that matches counts. A zero
// bound is none.
type Rule struct {
	Pattern  string        // a channel, or a pattern such as /orders/**
	Messages int           // of one channel
	Bytes    int           // of their data, of one channel
	Age      time.Duration // since they were published
}

// RuleFor returns the rule for a channel.
func RuleFor(rules []Rule, ch string) (Rule, bool) {
	for _, r := range rules {
		if bayeux.Channel(r.Pattern).Match(ch) {
			return r, true
		}
	}
	return Rule{}, false
}

// A Message is one that a Store keeps. Data is not to be changed.
type Message struct {
	ID      replay.ID
	Channel string
	Data    []byte
	At      time.Time
}

// A Store keeps messages. All have ids of one sequence, which grows with each
// message and has gaps; a store that has lost its past, because it is a new one
// or was kept in memory, begins beyond all ids that were ever given, which a
// first id of time.Now().UnixMicro() makes sure of. Its methods are for any
// goroutine.
type Store interface {
	// Keeps reports whether messages on ch are kept.
	Keeps(ch string) bool

	// Append keeps the next message on ch and returns at once, or when there is
	// room for another one under way. compose makes its data, once its id is
	// known. When the message is safe kept is called, once, with the data or
	// with why it is not: one call at a time, in the order of ids.
	Append(ch string, compose func(replay.ID) []byte, kept func(id replay.ID, data []byte, err error))

	// Read calls f for the messages after one id and up to another on all
	// channels that match pattern, in the order of ids, until f returns false
	// or ctx ends. It holds few of them at a time, and no lock while f runs.
	Read(ctx context.Context, pattern string, after, upTo replay.ID, f func(Message) bool) error

	// Tail returns the id after which the last n messages come that are kept on
	// the channels that match pattern.
	Tail(pattern string, n int) (replay.ID, error)

	// Bounds returns the largest id that is gone from the channels that match
	// pattern, or that such a channel never had because it was before the
	// store; and the last id that was given at all.
	Bounds(pattern string) (gone, last replay.ID, err error)
}
