package replay_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/internal/fuzzing"
)

func TestAFileThatIsNoneOfOursIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.json")
	for _, text := range []string{"", "{", "null", " null\n", "[]", `"a"`, `{"/a":"1"}`, `{"/a":1.5}`, "{}{}"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := replay.File(path)
		assert.ErrorContains(t, err, path, text)
	}
}

// FuzzFile: whatever a file of positions holds, it is refused, or read and
// written on.
func FuzzFile(f *testing.F) {
	for _, text := range []string{"null", "{}", `{"/a":1,"/a/**":-2}`, `{"":9223372036854775807}`, "{\"\xff\":0}", `{"/a":null}`} {
		f.Add([]byte(text), "/a")
	}
	f.Fuzz(func(t *testing.T, text []byte, ch string) {
		fuzzing.Watch(t)
		path := filepath.Join(t.TempDir(), "p.json")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		s, err := replay.File(path)
		if err != nil {
			require.ErrorContains(t, err, path)
			return
		}
		var want map[string]replay.ID
		require.NoError(t, json.Unmarshal(text, &want))
		require.NoError(t, s.Save(context.Background(), "/new", 7))
		again, err := replay.File(path)
		require.NoError(t, err)
		want["/new"] = 7
		for name, id := range want {
			got, found, err := again.Load(context.Background(), name)
			require.NoError(t, err)
			require.True(t, found, name)
			require.Equal(t, id, got, name)
		}
		_, found, err := again.Load(context.Background(), ch)
		require.NoError(t, err)
		_, wanted := want[ch]
		require.Equal(t, wanted, found)
	})
}

// Positions begin without a file. Where the disk fails, what was safe before
// stays, in the store and in the file, and nothing else is left.
func TestAPositionThatCannotBeSavedLeavesTheOneBefore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "positions")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "p.json")
	s, err := replay.File(path)
	require.NoError(t, err)
	require.NoError(t, s.Save(t.Context(), "/a", 1))
	require.NoError(t, os.Rename(dir, dir+".away"))
	assert.ErrorContains(t, s.Save(t.Context(), "/a", 2), "position of /a")
	assert.ErrorContains(t, s.Save(t.Context(), "/b", 2), "position of /b")
	require.NoError(t, os.Rename(dir+".away", dir))

	again, err := replay.File(path)
	require.NoError(t, err)
	for _, s := range []replay.Store{s, again} {
		id, found, err := s.Load(t.Context(), "/a")
		require.NoError(t, err)
		assert.True(t, found)
		assert.EqualValues(t, 1, id)
		_, found, err = s.Load(t.Context(), "/b")
		require.NoError(t, err)
		assert.False(t, found)
	}

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700)) // whose place no file takes
	assert.ErrorContains(t, s.Save(t.Context(), "/a", 3), "position of /a")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 1, "what was to take its place")
	_, err = replay.File(path)
	assert.ErrorContains(t, err, path, "a directory is no file of positions")
}

// What is killed while it saves leaves one file at most, which is in nobody's way.
func TestAKilledSaveLeavesNothingThatStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p.json")
	s, err := replay.File(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".tmp", []byte(`{"/a":`), 0o400)) // as it was killed
	require.NoError(t, s.Save(t.Context(), "/a", 1))
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1)
	again, err := replay.File(path)
	require.NoError(t, err)
	id, _, err := again.Load(t.Context(), "/a")
	require.NoError(t, err)
	assert.EqualValues(t, 1, id)

	require.NoError(t, os.MkdirAll(filepath.Join(path+".tmp", "full"), 0o700))
	assert.ErrorContains(t, s.Save(t.Context(), "/a", 2), path+".tmp", "not ours to remove")
}

// Whoever lets others read the file, or keeps it elsewhere, has that stay so.
func TestASaveKeepsModeAndPlaceOfTheFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes, and links are for administrators")
	}
	dir := t.TempDir()
	for _, sub := range []string{"etc", "data", "data/deep"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, sub), 0o700))
	}
	for name, link := range map[string]string{"a": filepath.Join(dir, "data/a"), "b": "../data/b", "c": "../link/c"} {
		for _, there := range []bool{false, true} {
			path, target := filepath.Join(dir, "etc", name), filepath.Join(dir, "data", name)
			if name == "c" { // by the way of a directory's link
				target = filepath.Join(dir, "data/deep", name)
				_ = os.Symlink("data/deep", filepath.Join(dir, "link"))
			}
			_ = os.Remove(path)
			require.NoError(t, os.Symlink(link, path))
			want := os.FileMode(0o600)
			if there {
				want = 0o640
				require.NoError(t, os.WriteFile(target, []byte("{}"), want))
				require.NoError(t, os.Chmod(target, want))
			}
			s, err := replay.File(path)
			require.NoError(t, err)
			for id := range replay.ID(2) {
				require.NoError(t, s.Save(t.Context(), "/a", id))
			}
			info, err := os.Lstat(path)
			require.NoError(t, err)
			assert.NotZero(t, info.Mode()&os.ModeSymlink, "%s is a link no more", path)
			info, err = os.Lstat(target)
			require.NoError(t, err)
			assert.Equal(t, want, info.Mode())
			text, err := os.ReadFile(target)
			require.NoError(t, err)
			assert.JSONEq(t, `{"/a":1}`, string(text))
		}
	}
}
