package boltstore

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/internal/dropped"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/internal/lock"
)

// A channel is what is known of one without looking at its messages. It does not
// change once it is in the index.
type channel struct {
	name string
	rule replayserver.Rule
	kept bool // by a rule

	count, bytes int64
	gone         replay.ID // the last one that was deleted as too old or too many
	last         replay.ID // the last one that was written
	oldest       time.Time // when the first one that is there was published
}

// due reports whether something of the channel is to be deleted.
func (c *channel) due(now time.Time) bool {
	return c.full() && (c.rule.Over(c.count, c.bytes) || c.rule.Aged(c.oldest, now))
}

// full reports whether a rule keeps messages of the channel, and there are some.
func (c *channel) full() bool { return c.kept && c.count > 0 }

const channelBytes = 5 * 8

func (c *channel) append(dst []byte) []byte {
	for _, v := range []int64{c.count, c.bytes, int64(c.gone), int64(c.last), c.oldest.UnixNano()} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	return dst
}

func (s *Store) parseChannel(name string, b []byte) (*channel, error) {
	if len(b) != channelBytes {
		return nil, fmt.Errorf("%w: %d bytes of a channel, want %d", ErrDamaged, len(b), channelBytes)
	}
	n := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8*i:])) }
	c := &channel{name: name, count: n(0), bytes: n(1), gone: replay.ID(n(2)), last: replay.ID(n(3)), oldest: time.Unix(0, n(4))}
	c.rule, c.kept = replayserver.RuleFor(s.rules, name)
	return c, nil
}

// An index has the channels as they are in the file, so that nobody looks for
// them there. The writer changes it after each commit, and before anybody is
// told of that.
type index struct {
	mu       lock.RWMutex[lock.Index]
	first    replay.ID // ids up to this one were never given
	last     replay.ID // the last one that was written
	channels map[string]*channel
	empty    map[string]bool // those of a rule that have no message left
	full     map[string]int  // how many of a rule have messages, by its pattern
	dropped  dropped.Marks   // channels that were empty, beyond dropped.Kept
}

// put takes over what a commit has changed.
func (x *index) put(last replay.ID, changed map[string]*channel) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last = max(x.last, last)
	for name, c := range changed {
		x.add(name, c)
	}
}

func (x *index) add(name string, c *channel) {
	if old := x.channels[name]; old != nil && old.full() {
		x.full[old.rule.Pattern]--
	}
	if c.full() {
		x.full[c.rule.Pattern]++
	}
	x.channels[name] = c
	if c.kept && c.count == 0 {
		x.empty[name] = true
	} else {
		delete(x.empty, name)
	}
}

// crowded reports whether empty channels are to be dropped.
func (x *index) crowded() bool { return len(x.empty) > dropped.Kept }

// drop takes over what a commit has dropped.
func (x *index) drop(channels []*channel) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range channels {
		delete(x.channels, c.name)
		delete(x.empty, c.name)
		x.dropped.Note(c.rule.Pattern, c.gone)
	}
}

func (x *index) get(name string) *channel {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.channels[name]
}

// matching are the channels that match pattern and have messages after an id;
// it returns the last id that is gone with channels that were dropped, and the
// last one of all, as well.
func (x *index) matching(pattern string, after replay.ID) (all []*channel, gone, last replay.ID) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if c := x.channels[pattern]; c != nil {
		if c.kept && c.last > after {
			all = append(all, c)
		}
		return all, 0, x.last
	}
	if bayeux.Channel(pattern).IsWild() {
		for name, c := range x.channels {
			if c.kept && c.last > after && bayeux.Channel(pattern).Match(name) {
				all = append(all, c)
			}
		}
	}
	return all, x.dropped.Over(pattern), x.last
}

// due are the names of the channels that have something to delete, and when
// another one will; the zero time is never.
func (x *index) due(now time.Time) (names []string, next time.Time) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for name, c := range x.channels {
		switch {
		case !c.full():
		case c.due(now):
			names = append(names, name)
		case c.rule.Age > 0:
			if at := c.oldest.Add(c.rule.Age); next.IsZero() || at.Before(next) {
				next = at
			}
		}
	}
	return names, next
}
