package replay_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
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
