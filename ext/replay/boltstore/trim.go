package boltstore

import (
	"errors"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/internal/dropped"
)

const (
	// slice is how many messages a commit deletes beside what it writes.
	// Publishers wait for one commit, however much is to be deleted.
	slice = 1000

	// Channels that nobody publishes on are looked at when something of them
	// has become too old, but not all the time; nor when the disk is full.
	lookEvery   = time.Second
	afterFailed = time.Minute
)

// trimming is what is to be deleted; it is the writer's.
type trimming struct {
	due   map[string]bool // channels that have something
	next  time.Time       // when others will; zero: never
	timer *time.Timer

	crowded bool // too many channels are empty
}

// busy reports whether there is something to delete now.
func (t *trimming) busy() bool { return len(t.due) > 0 || t.crowded }

// lookAgain wakes the writer.
func (s *Store) lookAgain() {
	s.mu.Lock()
	s.look = true
	s.more.Broadcast()
	s.mu.Unlock()
}

// at has the writer look for what is to be deleted at a time.
func (t *trimming) at(at, now time.Time) {
	if t.next.IsZero() || at.Before(t.next) {
		t.next = at
		t.timer.Reset(max(at.Sub(now), lookEvery))
	}
}

// find looks at all channels.
func (t *trimming) find(x *index, now time.Time) {
	names, next := x.due(now)
	for _, name := range names {
		t.due[name] = true
	}
	t.crowded = x.crowded()
	t.next = time.Time{}
	if !next.IsZero() {
		t.at(next, now)
	}
}

// note sees what a commit has changed.
func (t *trimming) note(changed map[string]*channel, now time.Time) {
	for name, c := range changed {
		if c.due(now) {
			t.due[name] = true
			continue
		}
		delete(t.due, name)
		if c.kept && c.count > 0 && c.rule.Age > 0 {
			t.at(c.oldest.Add(c.rule.Age), now)
		}
	}
}

// failed gives up for a while.
func (t *trimming) failed(now time.Time) {
	clear(t.due)
	t.crowded = false
	t.next = now.Add(afterFailed)
	t.timer.Reset(afterFailed)
}

// trimSome deletes what the rules do not allow to be kept any longer, up to some
// messages: of the channels that were written to first, so that a channel that
// is full costs one message for another.
func (w *writing) trimSome(due map[string]bool, most int) error {
	names := make([]string, 0, len(w.changed))
	for name := range w.changed {
		names = append(names, name)
	}
	for name := range due {
		if len(names) > len(w.changed)+most {
			break
		}
		names = append(names, name)
	}
	for _, name := range names {
		c := w.channel(name)
		if !c.due(w.now) {
			continue
		}
		if most <= 0 {
			return nil
		}
		n, err := trim(w.tx, c, w.now, most)
		if err != nil {
			return err
		}
		most -= max(n, 1)
	}
	return nil
}

// trim deletes messages of a channel from the first on, and notes that. They are
// found before the first is deleted: a cursor loses its place then.
func trim(tx *bolt.Tx, c *channel, now time.Time, most int) (int, error) {
	messages := tx.Bucket(messagesBucket)
	b := messages.Bucket([]byte(c.name))
	if b == nil {
		c.count, c.bytes = 0, 0
		return 0, nil
	}
	var ids []replay.ID
	cursor := b.Cursor()
	k, v := cursor.First()
	for ; k != nil && len(ids) < most; k, v = cursor.Next() {
		over := c.rule.Over(c.count, c.bytes)
		if !over && !c.rule.Aged(at(v), now) {
			break
		}
		ids = append(ids, idOf(k))
		c.count--
		c.bytes -= int64(max(len(v)-timeBytes, 0))
		if !over || !c.rule.Supersedes() || c.count == 0 {
			c.gone = idOf(k)
		}
	}
	if k == nil {
		c.count, c.bytes = 0, 0
		return len(ids), messages.DeleteBucket([]byte(c.name))
	}
	c.oldest = at(v)
	var err error
	for _, id := range ids {
		err = errors.Join(err, b.Delete(key(id)))
	}
	return len(ids), err
}

// drop forgets empty channels beyond those that are remembered: each goes into
// the mark of its rule.
func (w *writing) drop() error {
	x := &w.store.index
	channels, store := w.tx.Bucket(channelsBucket), w.tx.Bucket(storeBucket)
	for name := range x.empty {
		if len(w.dropped) == slice || len(x.empty)-len(w.dropped) <= dropped.Kept {
			return nil
		}
		if w.changed[name] != nil {
			continue
		}
		c := *x.channels[name]
		c.gone = max(c.gone, c.last)
		mark := append(slices.Clip(droppedKey), c.rule.Pattern...)
		if known := idOf(store.Get(mark)); known < c.gone {
			if err := store.Put(mark, key(c.gone)); err != nil {
				return err
			}
		}
		if err := channels.Delete([]byte(name)); err != nil {
			return err
		}
		w.dropped = append(w.dropped, &c)
	}
	return nil
}
