package boltstore_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/boltstore"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// All messages that are under way are written in one transaction: what bbolt would
// not take of one publisher must not fail it.
func TestAMessageThatDoesNotFitFailsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	s := open(t, path)
	boltstore.Largest(s, 100)
	longest := "/" + strings.Repeat("x", bolt.MaxKeySize-1)
	all := []struct {
		ch, data string
		want     error
	}{
		{"/a", "1", nil},
		{longest + "x", "2", berrors.ErrKeyTooLarge},
		{"", "3", berrors.ErrKeyRequired},
		{"/a", strings.Repeat("4", 101), berrors.ErrValueTooLarge},
		{longest, strings.Repeat("5", 100), nil},
		{"/a", "6", nil},
	}
	// The first holds up the writer, so that the others are one batch.
	going, enough, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s.Append("/first", func(replay.ID) []byte { return nil }, func(replay.ID, []byte, error) { close(going); <-enough })
	<-going
	errs, left := make([]error, len(all)), len(all)
	for i, m := range all {
		s.Append(m.ch, func(replay.ID) []byte { return []byte(m.data) }, func(_ replay.ID, _ []byte, err error) {
			if errs[i] = err; left == 1 {
				close(done)
			}
			left--
		})
	}
	close(enough)
	<-done
	for i, m := range all {
		assert.ErrorIs(t, errs[i], m.want, "message %d", i+1)
	}
	assert.ErrorContains(t, errs[1], "32769 bytes, the most is 32768")
	require.NoError(t, s.Close())
	s = open(t, path)
	var kept []string
	require.NoError(t, s.Read(t.Context(), "/**", 0, 1<<62, func(m replayserver.Message) bool {
		kept = append(kept, string(m.Data))
		return true
	}))
	assert.Equal(t, []string{"", "1", all[4].data, "6"}, kept)
	require.NoError(t, s.Close())
}

// A disk that is full when a store is opened for the first time leaves nothing that
// is in the way when it has room again.
func TestAFullDiskAtTheFirstStartIsNotTheEndOfTheFile(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell to limit a process")
	}
	for _, empty := range []bool{false, true} {
		for _, blocks := range []int{0, 8, 32, 40} { // of 512 bytes, or 1024: bbolt begins with four pages
			t.Run(fmt.Sprintf("%d blocks, empty before %v", blocks, empty), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "h.db")
				if empty {
					require.NoError(t, os.WriteFile(path, nil, 0o600))
				}
				cmd := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -f %d && exec "$0" -test.run=none`, blocks), os.Args[0])
				cmd.Env = append(os.Environ(), publishingTo+"="+path)
				said, err := cmd.CombinedOutput()
				require.Error(t, err)
				require.Contains(t, string(said), "file too large")
				if blocks <= 8 && !empty {
					assert.NoFileExists(t, path)
				}
				s := open(t, path)
				_, err = put(s, "/a", "1")
				require.NoError(t, err)
				require.NoError(t, s.Close())
			})
		}
	}
}

func TestAFileThatCannotBeMadeIsAnErrorThatSaysWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "h.db")
	_, err := boltstore.Open(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, path)
}

func TestAFileThatAnotherProcessHasIsSaidToBeInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.db")
	s := open(t, path)
	_, err := put(s, "/a", "1")
	require.NoError(t, err)
	_, err = boltstore.Open(path, replayserver.Rule{Pattern: "/**"})
	require.ErrorIs(t, err, berrors.ErrTimeout)
	assert.ErrorContains(t, err, path+" is in use by another process")
	require.NoError(t, s.Close())
	s = open(t, path)
	assert.Len(t, ids(t, s, "/a", 0), 1)
	require.NoError(t, s.Close())
}
