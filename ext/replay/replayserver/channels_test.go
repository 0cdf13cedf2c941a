package replayserver_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// put keeps a message and returns what the store says.
func put(s replayserver.Store, ch string) (id replay.ID, err error) {
	done := make(chan struct{})
	s.Append(ch, func(replay.ID) []byte { return []byte(`1`) }, func(i replay.ID, _ []byte, e error) {
		id, err = i, e
		close(done)
	})
	<-done
	return id, err
}

// Who may publish where they like may name very many channels, and a store holds
// something of each.
func TestAStoreHasNoMoreChannelsThanItsRulesAllow(t *testing.T) {
	rules := []replayserver.Rule{{Pattern: "/few/*", Channels: 3}, {Pattern: "/any/*", Channels: -1}, {Pattern: "/**"}}
	onStores(t, rules, func(t *testing.T, s replayserver.Store) {
		for i := range 3 {
			fill(t, s, fmt.Sprintf("/few/%d", i), 2)
		}
		last := fill(t, s, "/few/2", 1)[0]
		for range 2 {
			_, err := put(s, "/few/3")
			e, ok := errors.AsType[*bayeux.Error](err)
			require.True(t, ok, err)
			assert.Equal(t, "429:history_channels,3:limit_exceeded", e.Wire())
		}
		for i := range 5 {
			fill(t, s, fmt.Sprintf("/any/%d", i), 1)
			fill(t, s, fmt.Sprintf("/other/%d", i), 1)
		}
		fill(t, s, "/few/0", 1)
		ids, err := read(t, s, "/few/*", last, nothing)
		require.NoError(t, err)
		assert.Len(t, ids, 1, "those that have messages get more")
	})
}

// A store on a disk writes many messages at once.
func TestChannelsThatComeAtOnceAreCountedOneByOne(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/**", Channels: 10}}, func(t *testing.T, s replayserver.Store) {
		outcomes := make(chan error, 100)
		for i := range 100 {
			s.Append(fmt.Sprintf("/a/%d", i/2), func(replay.ID) []byte { return []byte(`1`) }, func(_ replay.ID, _ []byte, err error) { outcomes <- err })
		}
		taken := 0
		for range 100 {
			if <-outcomes == nil {
				taken++
			}
		}
		assert.Equal(t, 20, taken)
		ids, err := read(t, s, "/a/*", 0, nothing)
		require.NoError(t, err)
		assert.Len(t, ids, 20)
	})
}

func TestAChannelWhoseMessagesAreTooOldMakesRoom(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/**", Channels: 2, Age: 100 * time.Millisecond}}, func(t *testing.T, s replayserver.Store) {
		for i := range 4 {
			ch := fmt.Sprintf("/a/%d", i)
			require.Eventually(t, func() bool {
				_, err := put(s, ch)
				return err == nil
			}, 10*time.Second, 10*time.Millisecond)
		}
	})
}

// The publisher is told, and nobody gets what is not kept.
func TestAPublishOnOneChannelTooManyIsRefusedByName(t *testing.T) {
	srv := serve(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**", Channels: 1}))
	defer srv.Close()
	c := dial(t, srv)
	defer c.Close()
	sub, err := c.Subscribe(t.Context(), "/*")
	require.NoError(t, err)
	require.NoError(t, c.Publish(t.Context(), "/a", 1))
	err = c.Publish(t.Context(), "/b", 2)
	require.ErrorContains(t, err, "limit_exceeded")
	require.ErrorContains(t, err, "history_channels")
	require.ErrorContains(t, srv.Publish(t.Context(), "/b", 2), "history_channels")
	require.NoError(t, c.Publish(t.Context(), "/a", 3))
	for n := 1; n <= 3; n += 2 {
		for m := range sub.Messages(t.Context()) {
			assert.Contains(t, string(m.Data), fmt.Sprintf(`"replay.data":%d`, n))
			break
		}
	}
}
