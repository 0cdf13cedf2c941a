package replayserver_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/internal/dropped"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// Any publisher can name new channels. What was on them ages and goes, and so do
// they; but nobody may go on from before that and hear of no gap.
func TestChannelsWithoutMessagesAreForgottenAndTheirGapsAreNot(t *testing.T) {
	const names = dropped.Kept + 2000
	rules := []replayserver.Rule{{Pattern: "/brief/**", Age: time.Millisecond}, {Pattern: "/kept/**", Messages: 10}}
	onStores(t, rules, func(t *testing.T, s replayserver.Store) {
		kept := fill(t, s, "/kept/a", 2)
		var wg sync.WaitGroup
		id := make([]replay.ID, names)
		wg.Add(names)
		for i := range names {
			s.Append(fmt.Sprintf("/brief/%d", i), func(replay.ID) []byte { return []byte("1") }, func(at replay.ID, _ []byte, err error) {
				assert.NoError(t, err)
				id[i] = at
				wg.Done()
			})
		}
		wg.Wait()
		require.Eventually(t, func() bool { return replayserver.Channels(t, s, "/brief/**") <= dropped.Kept }, time.Minute, 20*time.Millisecond)

		for i := range names {
			gone, _, err := s.Bounds(fmt.Sprintf("/brief/%d", i))
			require.NoError(t, err)
			require.GreaterOrEqual(t, gone, id[i])
		}
		for _, pattern := range []string{"/**", "/brief/*", "/brief/**", "/brief/0", fmt.Sprintf("/brief/%d", names-1)} {
			_, err := read(t, s, pattern, id[0]-1, nothing)
			require.ErrorIs(t, err, replayserver.ErrTrimmed, pattern)
		}
		again := fill(t, s, "/kept/a", 1)
		for _, pattern := range []string{"/kept/a", "/kept/*", "/kept/**"} {
			got, err := read(t, s, pattern, kept[0], nothing)
			require.NoError(t, err, "other rules are not meant")
			assert.Equal(t, []replay.ID{kept[1], again[0]}, got)
		}
	})
}

func TestAMessageThatIsTooLargeForItsRuleIsALossAlsoWhereTheLatestIsKept(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/now/*", Messages: 1, Bytes: 5}}, func(t *testing.T, s replayserver.Store) {
		id := fill(t, s, "/now/a", 1)[0]
		gone, _, err := s.Bounds("/now/a")
		require.NoError(t, err)
		assert.Equal(t, id, gone)
	})
}

// They would match nothing, and the history be off without a word.
func TestRulesThatKeepNothingAreRefused(t *testing.T) {
	for _, bad := range []replayserver.Rule{{Pattern: "orders/**"}, {Pattern: "/a/*/b"}, {Pattern: ""}, {Pattern: "/a/{id}"}, {Pattern: "/a", Messages: -1}, {Pattern: "/a", Age: -1}} {
		assert.Panics(t, func() { replayserver.NewMemory(bad) }, bad)
		_, err := replayserver.ParseRules([]replayserver.Rule{bad})
		assert.Error(t, err, bad)
	}
	for says, o := range map[string]replayserver.Option{
		"orders/*": replayserver.WithLast("orders/*", 3),
		"-3":       replayserver.WithLast("/orders/*", -3),
		"template": replayserver.WithLast("/orders/{id}", 3),
	} {
		_, err := replayserver.New(replayserver.NewMemory(), o)
		assert.ErrorContains(t, err, says)
	}
	assert.True(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/a/"}).Keeps("/a"))
}
