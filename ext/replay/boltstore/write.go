package boltstore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// write is the store's goroutine: it takes all that waits, writes it in one
// transaction, and says so. With nothing to write it deletes, in small parts.
func (s *Store) write() {
	defer close(s.done)
	for {
		all, look, ok := s.take()
		if !ok {
			return
		}
		now := time.Now()
		if look {
			s.trim.find(&s.index, now)
		}
		if taken := s.compose(s.admit(all)); len(taken) > 0 || s.trim.busy() {
			err := s.commit(taken, now)
			for _, m := range taken {
				m.err = err
			}
		}
		for _, m := range all {
			m.kept(m.id, m.data, m.err)
		}
	}
}

// admit returns the messages that may be written. The others are on channels whose
// names do not fit into the file, or would be the first on more channels than their
// rules allow.
func (s *Store) admit(all []*message) []*message {
	taken := all[:0:0]
	first := map[string]bool{} // channels
	more := map[string]int{}   // of them, by the rule's pattern
	for _, m := range all {
		if m.err = fits(m.channel); m.err != nil {
			continue
		}
		if c := s.index.channels[m.channel]; c != nil && c.full() || first[m.channel] {
			taken = append(taken, m)
			continue
		}
		rule, _ := replayserver.RuleFor(s.rules, m.channel)
		if m.err = rule.Room(s.index.full[rule.Pattern] + more[rule.Pattern]); m.err == nil {
			first[m.channel] = true
			more[rule.Pattern]++
			taken = append(taken, m)
		}
	}
	return taken
}

// fits says what is wrong with the name of a channel. In a transaction it would fail
// all that is written with it.
func fits(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("boltstore: channel without a name: %w", berrors.ErrKeyRequired)
	case len(name) > bolt.MaxKeySize:
		return fmt.Errorf("boltstore: channel with a name of %d bytes, the most is %d: %w", len(name), bolt.MaxKeySize, berrors.ErrKeyTooLarge)
	}
	return nil
}

// compose gives the messages their ids and makes their data; it returns those that
// fit into the file. Ids are never given again, whatever becomes of the messages.
func (s *Store) compose(all []*message) []*message {
	fit := all[:0]
	for _, m := range all {
		s.last++
		m.id = s.last
		m.data = m.compose(m.id)
		if len(m.data) > s.largest {
			m.err = fmt.Errorf("boltstore: message of %d bytes, the most is %d: %w", len(m.data), s.largest, berrors.ErrValueTooLarge)
			continue
		}
		fit = append(fit, m)
	}
	return fit
}

// take waits for messages, or for something to delete; ok is false at the end.
func (s *Store) take() (all []*message, look, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && !s.closed && !s.look && !s.trim.busy() {
		s.more.Wait()
	}
	all, s.waiting = s.waiting, nil
	look, s.look = s.look, false
	s.more.Broadcast()
	return all, look, len(all) > 0 || !s.closed
}

// commit writes the messages. If that fails none of them is kept.
func (s *Store) commit(all []*message, now time.Time) error {
	w := &writing{store: s, now: now, changed: map[string]*channel{}}
	err := s.update(func(tx *bolt.Tx) error {
		w.tx = tx
		return w.write(all)
	})
	if err != nil {
		s.trim.failed(now)
		return prefixed(err)
	}
	s.index.put(s.last, w.changed)
	s.index.drop(w.dropped)
	s.trim.note(w.changed, now)
	s.trim.crowded = s.index.crowded()
	return nil
}

// A writing is one transaction: what it changes of the channels is theirs when
// it is safe.
type writing struct {
	store   *Store
	tx      *bolt.Tx
	now     time.Time
	changed map[string]*channel
	dropped []*channel
}

func (w *writing) write(all []*message) error {
	for _, m := range all {
		if err := w.put(m); err != nil {
			return err
		}
	}
	if err := w.trimSome(w.store.trim.due, max(slice, 2*len(all))); err != nil {
		return err
	}
	if err := w.drop(); err != nil {
		return err
	}
	channels := w.tx.Bucket(channelsBucket)
	for name, c := range w.changed {
		if err := channels.Put([]byte(name), c.append(nil)); err != nil {
			return err
		}
	}
	return w.tx.Bucket(storeBucket).Put(lastKey, key(w.store.last))
}

// channel is what will be known of a channel.
func (w *writing) channel(name string) *channel {
	if c := w.changed[name]; c != nil {
		return c
	}
	c := &channel{name: name}
	if known := w.store.index.get(name); known != nil {
		*c = *known
	} else {
		c.gone = max(w.store.index.first, w.store.index.dropped.Over(name))
		c.rule, c.kept = replayserver.RuleFor(w.store.rules, name)
	}
	w.changed[name] = c
	return c
}

func (w *writing) put(m *message) error {
	b, err := w.tx.Bucket(messagesBucket).CreateBucketIfNotExists([]byte(m.channel))
	if err != nil {
		return err
	}
	c := w.channel(m.channel)
	if c.count == 0 {
		c.oldest = w.now
	}
	c.count++
	c.bytes += int64(len(m.data))
	c.last = m.id
	b.FillPercent = 0.9 // ids grow: pages need no room for what comes between
	value := binary.BigEndian.AppendUint64(make([]byte, 0, timeBytes+len(m.data)), uint64(w.now.UnixNano()))
	return b.Put(key(m.id), append(value, m.data...))
}

// timeBytes is the time at which a message was published, before its data.
const timeBytes = 8

// parse copies a message out of the file.
func parse(ch string, k, v []byte) replayserver.Message {
	m := replayserver.Message{ID: idOf(k), Channel: ch, At: at(v)}
	if len(v) >= timeBytes {
		m.Data = slices.Clone(v[timeBytes:])
	}
	return m
}

// at is when a message was published.
func at(v []byte) time.Time {
	if len(v) < timeBytes {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(v)))
}

func key(id replay.ID) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }

func idOf(key []byte) replay.ID {
	if len(key) != 8 {
		return 0
	}
	return replay.ID(binary.BigEndian.Uint64(key))
}
