package boltstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// chunk is how many messages one transaction reads: a long one would keep the
// file from using freed pages again.
const chunk = 256

// Read is as replayserver.Store has it.
func (s *Store) Read(ctx context.Context, pattern string, after, upTo replay.ID, f func(replayserver.Message) bool) error {
	for {
		some, err := s.some(pattern, after, upTo)
		if err != nil {
			return prefixed(err)
		}
		for _, m := range some {
			if err := ctx.Err(); err != nil || !f(m) {
				return err
			}
			after = m.ID
		}
		if len(some) < chunk {
			return nil
		}
	}
}

// some are the next messages, at most a chunk.
func (s *Store) some(pattern string, after, upTo replay.ID) (all []replayserver.Message, err error) {
	now := time.Now()
	err = s.view(func(tx *bolt.Tx) error {
		return s.matching(tx, pattern, func(ch string, b *bolt.Bucket) {
			r, _ := replayserver.RuleFor(s.rules, ch)
			c := b.Cursor()
			n := 0
			for k, v := c.Seek(key(after + 1)); k != nil && n < chunk && idOf(k) <= upTo; k, v = c.Next() {
				if m := parse(ch, k, v); r.Age <= 0 || now.Sub(m.At) <= r.Age {
					all = append(all, m)
					n++
				}
			}
		})
	})
	slices.SortFunc(all, func(a, b replayserver.Message) int { return cmp.Compare(a.ID, b.ID) })
	return all[:min(len(all), chunk)], err
}

// matching calls f for the channels that match pattern.
func (s *Store) matching(tx *bolt.Tx, pattern string, f func(ch string, b *bolt.Bucket)) error {
	messages := tx.Bucket(messagesBucket)
	if !bayeux.Channel(pattern).IsWild() {
		if b := messages.Bucket([]byte(pattern)); b != nil && s.Keeps(pattern) {
			f(pattern, b)
		}
		return nil
	}
	return messages.ForEachBucket(func(name []byte) error {
		if ch := string(name); bayeux.Channel(pattern).Match(ch) && s.Keeps(ch) {
			f(ch, messages.Bucket(name))
		}
		return nil
	})
}

// Tail is as replayserver.Store has it.
func (s *Store) Tail(pattern string, n int) (replay.ID, error) {
	var ids []replay.ID
	last := replay.ID(0)
	err := s.view(func(tx *bolt.Tx) error {
		last = idOf(tx.Bucket(storeBucket).Get(lastKey))
		return s.matching(tx, pattern, func(_ string, b *bolt.Bucket) {
			c := b.Cursor()
			i := 0
			for k, _ := c.Last(); k != nil && i < n; k, _ = c.Prev() {
				ids = append(ids, idOf(k))
				i++
			}
		})
	})
	if err != nil {
		return 0, prefixed(err)
	}
	if len(ids) == 0 {
		return last, nil
	}
	slices.Sort(ids)
	return ids[max(0, len(ids)-n)] - 1, nil
}

// Bounds is as replayserver.Store has it.
func (s *Store) Bounds(pattern string) (gone, last replay.ID, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(storeBucket)
		gone, last = idOf(b.Get(firstKey)), idOf(b.Get(lastKey))
		channels := tx.Bucket(channelsBucket)
		return s.matching(tx, pattern, func(ch string, b *bolt.Bucket) {
			if st, err := parseStats(channels.Get([]byte(ch))); err == nil {
				gone = max(gone, st.gone, s.aged(ch, b))
			}
		})
	})
	if err != nil {
		return 0, 0, prefixed(err)
	}
	return gone, last, nil
}

// aged returns the last id that is too old but not deleted yet, because nothing
// was published since.
func (s *Store) aged(ch string, b *bolt.Bucket) (gone replay.ID) {
	r, _ := replayserver.RuleFor(s.rules, ch)
	if r.Age <= 0 {
		return 0
	}
	now := time.Now()
	c := b.Cursor()
	for k, v := c.First(); k != nil && now.Sub(at(v)) > r.Age; k, v = c.Next() {
		gone = idOf(k)
	}
	return gone
}
