package boltstore_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/boltstore"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/internal/fuzzing"
)

// written is a file with pages of 1 KiB: a few channels, one of which has
// branches, and free pages.
func written(t testing.TB) []byte {
	path := filepath.Join(t.TempDir(), "h.db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: 1024})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	s, err := boltstore.Open(path, replayserver.Rule{Pattern: "/**", Messages: 60})
	require.NoError(t, err)
	for i := range 100 {
		_, err := put(s, "/many", fmt.Sprintf(`{"n":%d}`, i))
		require.NoError(t, err)
	}
	for i := range 3 {
		_, err := put(s, fmt.Sprintf("/few/%d", i), strings.Repeat("x", i*1000))
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

// use opens a file and does everything with it; what it reads, and then writes,
// is in the order of ids. The error is whichever came first.
func use(t *testing.T, file []byte) error {
	path := filepath.Join(t.TempDir(), "h.db")
	require.NoError(t, os.WriteFile(path, file, 0o600))
	s, err := boltstore.Open(path, replayserver.Rule{Pattern: "/**", Messages: 60})
	if err != nil {
		assert.ErrorContains(t, err, path)
		return err
	}
	defer s.Close()
	last := replay.ID(0)
	next := func(m replayserver.Message) bool {
		assert.Greater(t, m.ID, last, "on %q", m.Channel)
		last = m.ID
		return true
	}
	read := func() error {
		last = 0
		return s.Read(t.Context(), "/**", 0, 1<<62, next)
	}
	tail := func() error {
		all, err := s.Tail("/many", 10)
		last = 0
		for _, m := range all {
			next(m)
		}
		return err
	}
	bounds := func() error { _, _, err := s.Bounds("/few/*"); return err }
	write := func() error {
		id, err := put(s, "/many", "new")
		if err == nil {
			next(replayserver.Message{ID: id, Channel: "/many"})
		}
		return err
	}
	for _, f := range []func() error{tail, bounds, read, write, write, read} {
		if e := f(); err == nil {
			err = e
		}
	}
	return err
}

func TestADamagedFileIsAnErrorThatNamesIt(t *testing.T) {
	whole := written(t)
	require.NoError(t, use(t, whole))
	zeroed := func(from, to int) []byte {
		b := append([]byte(nil), whole...)
		clear(b[from:to])
		return b
	}
	for name, file := range map[string][]byte{
		"half":           whole[:len(whole)/2],
		"two pages":      whole[:2048],
		"one page":       whole[:1024],
		"a few bytes":    whole[:100],
		"a tail of zero": zeroed(5<<10, len(whole)),
		"all but metas":  zeroed(2048, len(whole)),
		"metas zero":     zeroed(0, 2048),
		"something else": []byte(strings.Repeat("not a store\n", 1000)),
	} {
		t.Run(name, func(t *testing.T) {
			err := use(t, file)
			require.ErrorIs(t, err, boltstore.ErrDamaged)
			t.Log(err)
		})
	}
}

// Pages that lead back to where they came from would be followed for ever.
func TestPagesInACircleAreDamage(t *testing.T) {
	file := written(t)
	branches := 0
	for at := 2048; at < len(file); at += 1024 {
		if p := file[at : at+1024]; p[8] == 1 { // a branch
			binary.NativeEndian.PutUint64(p[16+8:], binary.NativeEndian.Uint64(p))
			branches++
		}
	}
	require.Positive(t, branches)
	require.ErrorIs(t, use(t, file), boltstore.ErrDamaged)
}

// Each way in which pages may not hang together has an error that says which.
func TestPagesThatDoNotHangTogetherAreDamage(t *testing.T) {
	whole := written(t)
	order := binary.NativeEndian
	const (
		branch, leaf, free = 1, 2, 16
		kind, count        = 8, 10 // in a page's head
		entry              = 16    // where its table begins
	)
	for name, x := range map[string]struct {
		of    uint16 // the pages that are spoiled
		spoil func(page []byte)
		want  string
	}{
		"a branch without leaves":        {branch, func(p []byte) { order.PutUint16(p[count:], 0) }, "without leaves"},
		"a key outside of its page":      {branch, func(p []byte) { order.PutUint32(p[entry:], 5000) }, "is outside"},
		"a value outside of its page":    {leaf, func(p []byte) { order.PutUint32(p[entry+4:], 5000) }, "is outside"},
		"more entries than a page holds": {leaf, func(p []byte) { order.PutUint16(p[count:], 1000) }, "entries"},
		"a page of no kind":              {leaf, func(p []byte) { order.PutUint16(p[kind:], 64) }, "of kind"},
		"another page":                   {leaf, func(p []byte) { order.PutUint64(p, 1) }, "says that it is page 1"},
		"no list of free pages":          {free, func(p []byte) { order.PutUint16(p[kind:], leaf) }, "not a list of free pages"},
		"too many free pages":            {free, func(p []byte) { order.PutUint16(p[count:], 60000) }, "free pages"},
		"a free page beyond the last":    {free, func(p []byte) { order.PutUint16(p[count:], 1); order.PutUint64(p[entry:], 1<<40) }, "beyond the last"},
		"a free page that is in use":     {free, func(p []byte) { order.PutUint16(p[count:], 1); order.PutUint64(p[entry:], 0) }, "used twice"},
	} {
		t.Run(name, func(t *testing.T) {
			file := append([]byte(nil), whole...)
			spoiled := 0
			for at := 2048; at < len(file); at += 1024 {
				if p := file[at : at+1024]; order.Uint16(p[kind:]) == x.of && (x.of != leaf || order.Uint16(p[count:]) > 0) {
					x.spoil(p)
					spoiled++
				}
			}
			require.Positive(t, spoiled)
			err := use(t, file)
			require.ErrorIs(t, err, boltstore.ErrDamaged)
			assert.ErrorContains(t, err, x.want)
		})
	}
}

// A store whose file is cut short under it fails, says why, and can be closed.
func TestAFileCutShortWhileOpenIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	require.NoError(t, os.WriteFile(path, written(t), 0o600))
	s := open(t, path)
	require.NoError(t, os.Truncate(path, 0))
	err := s.Read(t.Context(), "/**", 0, 1<<62, func(replayserver.Message) bool { return true })
	require.ErrorIs(t, err, boltstore.ErrDamaged)
	require.ErrorContains(t, err, path)
	_, err = put(s, "/many", "new")
	require.ErrorIs(t, err, boltstore.ErrDamaged)
	_, err = s.Tail("/many", 1)
	require.ErrorIs(t, err, boltstore.ErrDamaged)
	require.NoError(t, s.Close())
}

// A file is looked at before it is written to, and left as it is.
func TestADamagedFileIsNotTouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	half := written(t)
	half = half[:len(half)/2]
	require.NoError(t, os.WriteFile(path, half, 0o600))
	for range 2 { // nor is it locked afterwards: that would be a timeout
		_, err := boltstore.Open(path)
		require.ErrorIs(t, err, boltstore.ErrDamaged)
	}
	now, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, half, now)
}

// FuzzStore changes a file: a place (2 bytes) and what to put there, again and
// again; the size comes first. Whatever it is then, nothing panics, and what is
// read is in order.
func FuzzStore(f *testing.F) {
	whole, err := os.ReadFile("testdata/history.db") // one that written has made: each is a little different
	require.NoError(f, err)
	f.Add([]byte{0xff, 0xff})
	f.Add([]byte{0x10, 0x00})
	f.Add([]byte{0xff, 0xff, 0x08, 0x10, 1})
	f.Fuzz(func(t *testing.T, changes []byte) {
		fuzzing.Watch(t)
		if len(changes) < 2 || len(changes) > 64 {
			return
		}
		file := append([]byte(nil), whole...)
		file = file[:min(len(file), int(binary.BigEndian.Uint16(changes)))]
		for c := changes[2:]; len(c) >= 3; c = c[3:] {
			if at := int(binary.BigEndian.Uint16(c)); at < len(file) {
				file[at] = c[2]
			}
		}
		if err := use(t, file); err != nil {
			t.Log(err)
		}
	})
}
