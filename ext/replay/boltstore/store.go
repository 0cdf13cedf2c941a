package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/internal/dropped"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/internal/lock"
)

// ErrClosed is what a message fails with that comes after Close.
var ErrClosed = errors.New("boltstore: closed")

// A Store is a replayserver.Store in a file. It owns one goroutine, which
// writes, until [Store.Close].
type Store struct {
	db     *bolt.DB
	file   *os.File // db's
	damage atomic.Pointer[error]
	rules  []replayserver.Rule
	index  index
	trim   trimming
	done   chan struct{}

	largest int // data of a message that fits into the file

	mu      lock.Mutex[lock.Writes]
	more    sync.Cond
	waiting []*message
	look    bool // channels may have something to delete
	closed  bool

	last replay.ID // the writer's: the last one that was given
}

// A message is one that waits to be written.
type message struct {
	channel string
	compose func(replay.ID) []byte
	kept    func(replay.ID, []byte, error)

	id   replay.ID
	data []byte
	err  error
}

// underWay bounds the messages that wait to be written; beyond it Append waits.
const underWay = 4096

// The file has one bucket for the messages of each channel, by id, and one for
// what is known of the channels.
var (
	messagesBucket = []byte("messages")
	channelsBucket = []byte("channels")
	storeBucket    = []byte("store")
	formatKey      = []byte("format")
	firstKey       = []byte("first") // ids up to this one were never given
	lastKey        = []byte("last")
	droppedKey     = []byte("dropped ") // and the pattern of a rule
)

// format is that of the file, which other versions of this package may not know.
// A file of format 1 has no channels that were dropped, and becomes one of this.
const format = 2

// Open opens the store in a file, which it makes if there is none. It waits up
// to two seconds for another process to close it. It looks at the pages of the
// file, at about a gigabyte a second or as fast as the disk is, and fails with
// [ErrDamaged] if they do not hang together. The rules may differ from those of
// the last time; what they do not allow any more is deleted in the background,
// and messages of channels that no rule matches stay, and are neither trimmed
// nor replayed. It fails if replayserver.ParseRules finds an error in them. Of
// channels that have no message left the store remembers up to 10,000, and the
// others of a rule as one, as replayserver.NewMemory does.
func Open(path string, rules ...replayserver.Rule) (*Store, error) {
	rules, err := replayserver.ParseRules(rules)
	if err != nil {
		return nil, fmt.Errorf("boltstore: %w", err)
	}
	db, file, err := openFile(path)
	if err != nil {
		return nil, named(err, path)
	}
	s := &Store{db: db, file: file, rules: rules, done: make(chan struct{}), largest: bolt.MaxValueSize - timeBytes}
	s.more.L = &s.mu
	s.index.channels, s.index.empty, s.index.full = map[string]*channel{}, map[string]bool{}, map[string]int{}
	s.trim.due = map[string]bool{}
	if err := guarded(func() error { return db.Update(s.load) }); err != nil {
		return nil, named(errors.Join(err, s.release(err)), path)
	}
	s.look = true
	s.trim.timer = time.AfterFunc(time.Hour, s.lookAgain)
	go s.write()
	return s, nil
}

// named says which file it was.
func named(err error, path string) error {
	switch {
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("%w: %s", err, path)
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("boltstore: %s is in use by another process: %w", path, err)
	}
	return fmt.Errorf("boltstore: %w: %s", err, path)
}

// release closes the file. bbolt is not asked to after it has panicked: it might
// wait for ever.
func (s *Store) release(damage error) error {
	if isPanicked(damage) {
		return s.file.Close()
	}
	return s.db.Close()
}

// load reads what is kept beside the messages, and makes it in a new file.
func (s *Store) load(tx *bolt.Tx) error {
	for _, name := range [][]byte{messagesBucket, channelsBucket, storeBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	b := tx.Bucket(storeBucket)
	if b.Get(firstKey) == nil {
		start := key(replay.ID(time.Now().UnixMicro()))
		if err := errors.Join(b.Put(formatKey, []byte{format}), b.Put(firstKey, start), b.Put(lastKey, start)); err != nil {
			return err
		}
	}
	switch v := b.Get(formatKey); {
	case bytes.Equal(v, []byte{1}):
		if err := b.Put(formatKey, []byte{format}); err != nil {
			return err
		}
	case !bytes.Equal(v, []byte{format}):
		return fmt.Errorf("a store of format %v, this version knows %d", v, format)
	}
	first, last := b.Get(firstKey), b.Get(lastKey)
	if len(first) != 8 || len(last) != 8 {
		return fmt.Errorf("%w: no first and last id", ErrDamaged)
	}
	s.index.first, s.index.last, s.last = idOf(first), idOf(last), idOf(last)
	var err error
	if s.index.dropped, err = marksIn(tx); err != nil {
		return err
	}
	return tx.Bucket(channelsBucket).ForEach(func(name, v []byte) error {
		c, err := s.parseChannel(string(name), v)
		if err == nil {
			s.index.add(c.name, c)
		}
		return err
	})
}

// marksIn are those of the channels that were dropped.
func marksIn(tx *bolt.Tx) (dropped.Marks, error) {
	marks := dropped.Marks{}
	c := tx.Bucket(storeBucket).Cursor()
	for k, v := c.Seek(droppedKey); bytes.HasPrefix(k, droppedKey); k, v = c.Next() {
		if len(v) != 8 {
			return nil, fmt.Errorf("%w: no id of channels that were dropped", ErrDamaged)
		}
		marks[string(k[len(droppedKey):])] = idOf(v)
	}
	return marks, nil
}

// Close writes what is under way and closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	s.more.Broadcast()
	s.mu.Unlock()
	<-s.done
	s.trim.timer.Stop()
	if err := s.damage.Load(); err != nil {
		return s.release(*err)
	}
	return s.release(nil)
}

// Keeps reports whether a rule matches ch.
func (s *Store) Keeps(ch string) bool { _, ok := replayserver.RuleFor(s.rules, ch); return ok }

// Append has the message written with all others that are under way.
func (s *Store) Append(ch string, compose func(replay.ID) []byte, kept func(replay.ID, []byte, error)) {
	s.mu.Lock()
	for len(s.waiting) >= underWay && !s.closed {
		s.more.Wait()
	}
	closed := s.closed
	if !closed {
		s.waiting = append(s.waiting, &message{channel: ch, compose: compose, kept: kept})
		s.more.Broadcast()
	}
	s.mu.Unlock()
	if closed {
		kept(0, nil, ErrClosed)
	}
}
