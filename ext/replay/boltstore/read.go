package boltstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/internal/merge"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// What one transaction reads at most: a long one would keep the file from using
// freed pages again.
const (
	chunk      = 256
	chunkBytes = 64 << 10
)

// Read is as replayserver.Store has it.
func (s *Store) Read(ctx context.Context, pattern string, after, upTo replay.ID, f func(replayserver.Message) bool) error {
	channels, gone, last := s.index.matching(pattern, after)
	if after > 0 && gone > after {
		return replayserver.ErrTrimmed
	}
	r := &reader{upTo: min(upTo, last)}
	err := s.view(func(tx *bolt.Tx) error { return s.begin(r, tx, channels, after) })
	for err == nil && r.channels.Len() > 0 {
		var some []replayserver.Message
		err = s.view(func(tx *bolt.Tx) (err error) {
			some, err = s.some(r, tx)
			return err
		})
		for _, m := range some {
			if err := ctx.Err(); err != nil || !f(m) {
				return err
			}
		}
	}
	if err != nil {
		return prefixed(err)
	}
	return nil
}

// A reader is in the middle of some channels.
type reader struct {
	upTo     replay.ID
	channels merge.Sources[*channel]
}

// begin finds the first message of each channel.
func (s *Store) begin(r *reader, tx *bolt.Tx, channels []*channel, after replay.ID) error {
	now := time.Now()
	for _, c := range channels {
		gone, err := s.gone(tx, c.name, now)
		if err != nil {
			return err
		}
		if after > 0 && gone > after {
			return replayserver.ErrTrimmed
		}
		b := tx.Bucket(messagesBucket).Bucket([]byte(c.name))
		if b == nil {
			continue
		}
		if k, _ := b.Cursor().Seek(key(max(after, gone) + 1)); k != nil && idOf(k) <= r.upTo {
			r.channels.Add(idOf(k), c)
		}
	}
	return nil
}

// some are the next messages; with an error, those before the first that is
// gone.
func (s *Store) some(r *reader, tx *bolt.Tx) (some []replayserver.Message, err error) {
	bytes := 0
	for len(some) < chunk && bytes < chunkBytes && r.channels.Len() > 0 {
		first := r.channels.First()
		k, v, c := seek(tx, first.Of.name, first.Next)
		if idOf(k) != first.Next {
			if err := s.lost(tx, first.Of, first.Next); err != nil {
				return some, err
			}
			r.channels.Advance(idOf(k), r.upTo)
			continue
		}
		// Its next is next, as long as no other channel has an earlier one.
		for at := first.Next; r.channels.Len() > 0 && r.channels.First() == first; at = first.Next {
			some = append(some, parse(first.Of.name, k, v))
			full := len(some) == chunk || bytes+len(v) >= chunkBytes
			bytes += len(v)
			k, v = c.Next()
			if first.Next = idOf(k); k != nil && first.Next <= at {
				return some, fmt.Errorf("%w: message %d of %s after %d", ErrDamaged, first.Next, first.Of.name, at)
			}
			if r.channels.Advance(first.Next, r.upTo); full {
				return some, nil
			}
		}
	}
	return some, nil
}

// seek finds the first message of a channel with an id of at least that one;
// without one its key is nil.
func seek(tx *bolt.Tx, name string, id replay.ID) (k, v []byte, c *bolt.Cursor) {
	b := tx.Bucket(messagesBucket).Bucket([]byte(name))
	if b == nil {
		return nil, nil, nil
	}
	c = b.Cursor()
	k, v = c.Seek(key(id))
	return k, v, c
}

// lost says whether a message that is not there any more is missed.
func (s *Store) lost(tx *bolt.Tx, c *channel, id replay.ID) error {
	now, err := s.channelIn(tx, c.name)
	if err == nil && now.gone >= id {
		err = replayserver.ErrTrimmed
	}
	return err
}

// gone is the last id that a channel has no more: of what was deleted, and of
// what is too old but waits for that. Messages of one channel have the order of
// their times, so a few looks find it.
func (s *Store) gone(tx *bolt.Tx, name string, now time.Time) (replay.ID, error) {
	c, err := s.channelIn(tx, name)
	if err != nil {
		return 0, err
	}
	b := tx.Bucket(messagesBucket).Bucket([]byte(name))
	if b == nil || !c.rule.Aged(c.oldest, now) {
		return c.gone, nil
	}
	cursor := b.Cursor()
	first, _ := cursor.First()
	old, end := idOf(first), c.last // old is too old; nothing after end is
	for old < end {
		middle := old + (end-old+1)/2
		if k, v := cursor.Seek(key(middle)); k != nil && c.rule.Aged(at(v), now) {
			old = max(middle, idOf(k))
		} else {
			end = middle - 1
		}
	}
	return max(c.gone, old), nil
}

// channelIn is what the file says of a channel. One that was dropped a moment ago
// has no message, and is gone as far as its mark says.
func (s *Store) channelIn(tx *bolt.Tx, name string) (*channel, error) {
	if b := tx.Bucket(channelsBucket).Get([]byte(name)); b != nil {
		return s.parseChannel(name, b)
	}
	marks, err := marksIn(tx)
	return &channel{name: name, gone: marks.Over(name)}, err
}

// Tail is as replayserver.Store has it.
func (s *Store) Tail(pattern string, n int) (all []replayserver.Message, err error) {
	channels, _, _ := s.index.matching(pattern, 0)
	err = s.view(func(tx *bolt.Tx) error {
		all, err = s.tail(tx, channels, n)
		return err
	})
	if err != nil {
		return nil, prefixed(err)
	}
	return all, nil
}

// An end is a channel that is read backwards.
type end struct {
	name   string
	gone   replay.ID
	cursor *bolt.Cursor
	v      []byte
}

func (s *Store) tail(tx *bolt.Tx, channels []*channel, n int) (all []replayserver.Message, err error) {
	now := time.Now()
	ends := new(merge.Sources[*end]) // by negative ids: the last comes first
	for _, c := range channels {
		gone, err := s.gone(tx, c.name, now)
		if err != nil {
			return nil, err
		}
		if b := tx.Bucket(messagesBucket).Bucket([]byte(c.name)); b != nil {
			e := &end{name: c.name, gone: gone, cursor: b.Cursor()}
			k, v := e.cursor.Last()
			if e.v = v; idOf(k) > gone {
				ends.Add(-idOf(k), e)
			}
		}
	}
	for len(all) < n && ends.Len() > 0 {
		e := ends.First()
		all = append(all, parse(e.Of.name, key(-e.Next), e.Of.v))
		k, v := e.Of.cursor.Prev()
		e.Of.v = v
		ends.Advance(-idOf(k), -e.Of.gone-1)
	}
	slices.Reverse(all)
	return all, nil
}

// Bounds is as replayserver.Store has it.
func (s *Store) Bounds(pattern string) (gone, last replay.ID, err error) {
	channels, gone, last := s.index.matching(pattern, 0)
	now := time.Now()
	gone = max(gone, s.index.first)
	var aged []*channel
	for _, c := range channels {
		gone = max(gone, c.gone)
		if c.count > 0 && c.rule.Aged(c.oldest, now) {
			aged = append(aged, c)
		}
	}
	if len(aged) == 0 {
		return gone, last, nil
	}
	err = s.view(func(tx *bolt.Tx) error {
		for _, c := range aged {
			g, err := s.gone(tx, c.name, now)
			if err != nil {
				return err
			}
			gone = max(gone, g)
		}
		return nil
	})
	if err != nil {
		return 0, 0, prefixed(err)
	}
	return gone, last, nil
}
