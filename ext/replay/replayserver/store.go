package replayserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
)

// A Rule says which messages a [Store] keeps and for how long. Channels that no
// rule matches have no history; the first rule that matches counts. A zero
// bound is none, but for Channels.
//
// A rule with Messages 1 keeps the latest value: what a newer one takes the
// place of is not missed, so positions before it stay good. Whatever else a
// bound takes away is gone, and those who have not had it are told.
type Rule struct {
	Pattern  string        // a channel, or a pattern such as /orders/**
	Messages int           // of one channel
	Bytes    int           // of their data, of one channel
	Age      time.Duration // since they were published; exact for readers, on a disk about a second later

	// Channels is how many may have messages at a time; the default is 100,000, and
	// a negative value is no bound. A store holds something of each in memory, and
	// whoever may publish may name as many as there are names. A publish to one more
	// is refused, with [Rule.Room]'s error; nobody gets it.
	Channels int
}

const defaultChannels = 100_000

// ParseRules returns the rules as a store takes them, and an error if one has an
// illegal pattern, which would match nothing and keep nothing, a template, or a
// bound below zero other than that of Channels.
func ParseRules(rules []Rule) ([]Rule, error) {
	out := make([]Rule, len(rules))
	for i, r := range rules {
		pattern, err := parsePattern(r.Pattern)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		if r.Messages < 0 || r.Bytes < 0 || r.Age < 0 {
			return nil, fmt.Errorf("rule for %s: a bound is negative", pattern)
		}
		out[i] = r
		out[i].Pattern = pattern
	}
	return out, nil
}

func parsePattern(pattern string) (string, error) {
	p, err := bayeux.ParsePattern(pattern)
	if err == nil && strings.Contains(pattern, "{") {
		err = fmt.Errorf("a template is no pattern: %q", pattern)
	}
	return string(p), err
}

// Over reports whether a channel has more messages, or bytes of them, than the
// rule allows.
func (r Rule) Over(messages, bytes int64) bool {
	return r.Messages > 0 && messages > int64(r.Messages) || r.Bytes > 0 && bytes > int64(r.Bytes)
}

// Room returns nil if one more channel may have messages beside n that have some, or
// the error for who wants to publish there, a *bayeux.Error that names the bound.
func (r Rule) Room(n int) error {
	bound := cmp.Or(r.Channels, defaultChannels)
	if bound < 0 || n < bound {
		return nil
	}
	return &bayeux.Error{Code: 429, Args: []string{"history_channels", strconv.Itoa(bound)}, Message: "limit_exceeded"}
}

// Aged reports whether a message of that time is too old.
func (r Rule) Aged(at, now time.Time) bool { return r.Age > 0 && now.Sub(at) > r.Age }

// Supersedes reports whether what goes because of [Rule.Over] is no loss.
func (r Rule) Supersedes() bool { return r.Messages == 1 }

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
	// or ctx ends. f may block, for as long as a slow client takes: few messages
	// are held at a time, and no lock. Read fails with [ErrTrimmed] where one of
	// those messages is gone, or went before its turn came; after 0 begins with
	// what is there.
	Read(ctx context.Context, pattern string, after, upTo replay.ID, f func(Message) bool) error

	// Tail returns the last n messages on all channels that match pattern, or
	// as many as there are, in the order of ids.
	Tail(pattern string, n int) ([]Message, error)

	// Bounds returns the largest id that is gone from a channel that matches
	// pattern, or that such a channel never had because it was before the
	// store; and the last id that was given at all. A store need not know every
	// channel that once had messages: gone may be larger than it is, never
	// smaller.
	Bounds(pattern string) (gone, last replay.ID, err error)
}

// ErrTrimmed is what a [Store] fails with where messages that are to be read are
// gone.
var ErrTrimmed = errors.New("replayserver: messages are gone")
