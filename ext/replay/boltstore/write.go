package boltstore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// write is the store's goroutine: it takes all that waits, writes it in one
// transaction, and says so.
func (s *Store) write() {
	defer close(s.done)
	for {
		all := s.take()
		if all == nil {
			return
		}
		err := s.commit(all)
		for _, m := range all {
			m.kept(m.id, m.data, err)
		}
	}
}

// take waits for messages; nil is the end.
func (s *Store) take() (all []*message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && !s.closed {
		s.more.Wait()
	}
	all, s.waiting = s.waiting, nil
	s.more.Broadcast()
	return all
}

// commit gives the messages their ids and writes them. If that fails none of
// them is kept, and their ids are never given again.
func (s *Store) commit(all []*message) error {
	now := time.Now()
	s.mu.Lock()
	for _, m := range all {
		s.last++
		m.id = s.last
	}
	s.mu.Unlock()
	for _, m := range all {
		m.data = m.compose(m.id)
	}
	changed := map[string]channelStats{}
	err := s.update(func(tx *bolt.Tx) error {
		for _, m := range all {
			if err := s.put(tx, m, now, changed); err != nil {
				return err
			}
		}
		for ch := range changed {
			if err := s.trim(tx, ch, now); err != nil {
				return err
			}
		}
		return tx.Bucket(storeBucket).Put(lastKey, key(all[len(all)-1].id))
	})
	if err != nil {
		for ch, before := range changed { // the file is as it was
			*s.stats[ch] = before
		}
		return prefixed(err)
	}
	return nil
}

// put writes one message and notes what its channel was before.
func (s *Store) put(tx *bolt.Tx, m *message, now time.Time, changed map[string]channelStats) error {
	b, err := tx.Bucket(messagesBucket).CreateBucketIfNotExists([]byte(m.channel))
	if err != nil {
		return err
	}
	st := s.stats[m.channel]
	if st == nil {
		st = &channelStats{gone: idOf(tx.Bucket(storeBucket).Get(firstKey))}
		s.stats[m.channel] = st
		b.FillPercent = 0.9
	}
	if _, ok := changed[m.channel]; !ok {
		changed[m.channel] = *st
	}
	st.count++
	st.bytes += int64(len(m.data))
	b.FillPercent = 0.9 // ids grow: pages need no room for what comes between
	value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(m.data)), uint64(now.UnixNano()))
	return b.Put(key(m.id), append(value, m.data...))
}

// trim deletes what the rule does not allow to be kept any longer, and writes
// what is known of the channel.
func (s *Store) trim(tx *bolt.Tx, ch string, now time.Time) error {
	st := s.stats[ch]
	r, _ := replayserver.RuleFor(s.rules, ch)
	c := tx.Bucket(messagesBucket).Bucket([]byte(ch)).Cursor()
	for k, v := c.First(); k != nil; k, v = c.First() {
		m := parse(ch, k, v)
		over := r.Messages > 0 && st.count > int64(r.Messages) || r.Bytes > 0 && st.bytes > int64(r.Bytes)
		if !over && (r.Age <= 0 || now.Sub(m.At) <= r.Age) {
			break
		}
		st.count--
		st.bytes -= int64(len(m.Data))
		st.gone = m.ID
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return tx.Bucket(channelsBucket).Put([]byte(ch), st.append(nil))
}

// channelStats is what is known of a channel without looking at its messages.
type channelStats struct {
	count, bytes int64
	gone         replay.ID
}

func (c *channelStats) append(dst []byte) []byte {
	for _, v := range []int64{c.count, c.bytes, int64(c.gone)} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	return dst
}

func parseStats(b []byte) (*channelStats, error) {
	if len(b) != 24 {
		return &channelStats{}, fmt.Errorf("%w: %d bytes of a channel, want 24", ErrDamaged, len(b))
	}
	n := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[i:])) }
	return &channelStats{n(0), n(8), replay.ID(n(16))}, nil
}

// parse copies a message out of the file.
func parse(ch string, k, v []byte) replayserver.Message {
	m := replayserver.Message{ID: idOf(k), Channel: ch, At: at(v)}
	if len(v) >= 8 {
		m.Data = slices.Clone(v[8:])
	}
	return m
}

// at is when a message was published.
func at(v []byte) time.Time {
	if len(v) < 8 {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(v)))
}
