package replayserver_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
)

// fill keeps n messages on a channel and returns their ids.
func fill(t *testing.T, s replayserver.Store, ch string, n int) []replay.ID {
	ids := make([]replay.ID, n)
	var wg sync.WaitGroup
	wg.Add(n)
	for i := range n {
		compose := func(id replay.ID) []byte { return fmt.Appendf(nil, `{"event":{"replayId":%d}}`, id) }
		s.Append(ch, compose, func(id replay.ID, _ []byte, err error) {
			assert.NoError(t, err)
			ids[i] = id
			wg.Done()
		})
	}
	wg.Wait()
	return ids
}

// read returns the ids that a reader gets; each is called before the next.
func read(t *testing.T, s replayserver.Store, pattern string, after replay.ID, each func(n int)) (ids []replay.ID, err error) {
	err = s.Read(t.Context(), pattern, after, 1<<62, func(m replayserver.Message) bool {
		ids = append(ids, m.ID)
		each(len(ids))
		return true
	})
	return ids, err
}

func nothing(int) {}

func TestAPatternIsReadInOrderThoughSomeOfItsChannelsWereTrimmed(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/**", Messages: 1000}}, func(t *testing.T, s replayserver.Store) {
		want := fill(t, s, "/a/old", 900)
		busy := fill(t, s, "/a/busy", 1500)
		want = append(want, busy[500:]...)
		got, err := read(t, s, "/a/*", 0, nothing)
		require.NoError(t, err)
		assert.Equal(t, want, got)

		got, err = read(t, s, "/a/*", busy[499], nothing)
		require.NoError(t, err, "the last one that is gone is before the first to be read")
		assert.Equal(t, busy[500:], got)
		_, err = read(t, s, "/a/*", busy[498], nothing)
		require.ErrorIs(t, err, replayserver.ErrTrimmed)
		_, err = read(t, s, "/a/old", want[5], nothing)
		require.NoError(t, err, "of a channel that lost nothing")
	})
}

// Of what is read some goes before its turn has come: those who read get all
// before it, and the error.
func TestAReaderIsToldOfWhatGoesBeforeItsTurn(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/**", Messages: 1000}}, func(t *testing.T, s replayserver.Store) {
		old, busy := fill(t, s, "/a/old", 300), fill(t, s, "/a/busy", 1000)
		got, err := read(t, s, "/a/*", 0, func(n int) {
			if n == 290 {
				fill(t, s, "/a/busy", 900)
			}
		})
		require.ErrorIs(t, err, replayserver.ErrTrimmed)
		assert.Equal(t, append(old, busy...)[:len(got)], got)

		got, err = read(t, s, "/a/old", 0, func(n int) {
			if n == 100 {
				fill(t, s, "/a/busy", 900)
			}
		})
		require.NoError(t, err, "the loss of a channel that is not read")
		assert.Len(t, got, 300)
	})
}

func TestWhatANewerValueTakesThePlaceOfIsNoLoss(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/now/*", Messages: 1}, {Pattern: "/**"}}, func(t *testing.T, s replayserver.Store) {
		first := fill(t, s, "/now/a", 10)[0]
		log := fill(t, s, "/log", 600)
		got, err := read(t, s, "/**", first, func(n int) {
			if n == 100 {
				fill(t, s, "/now/a", 10)
			}
		})
		require.NoError(t, err)
		assert.Subset(t, got, log)
		gone, last, err := s.Bounds("/**")
		require.NoError(t, err)
		assert.Less(t, gone, first)
		got, err = read(t, s, "/now/a", first, nothing)
		require.NoError(t, err)
		assert.Equal(t, []replay.ID{last}, got)
	})
}

func TestTheLastMessagesAreThoseThatAreNotTooOld(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/**", Age: 300 * time.Millisecond}}, func(t *testing.T, s replayserver.Store) {
		a, b := fill(t, s, "/a/1", 300), fill(t, s, "/a/2", 2)
		last, err := s.Tail("/a/*", 3)
		require.NoError(t, err)
		if len(last) == 3 { // on time
			assert.Equal(t, []replay.ID{a[299], b[0], b[1]}, []replay.ID{last[0].ID, last[1].ID, last[2].ID})
		}
		require.Eventually(t, func() bool {
			last, err := s.Tail("/a/*", 3)
			return err == nil && len(last) == 0
		}, 10*time.Second, 10*time.Millisecond)
		got, err := read(t, s, "/a/*", 0, nothing)
		require.NoError(t, err)
		assert.Empty(t, got)
		gone, _, err := s.Bounds("/a/1")
		require.NoError(t, err)
		assert.Equal(t, a[299], gone)
	})
}

// Reading many channels costs no more for each message than reading one.
func TestManyChannelsAreReadAsOneWithoutLoadingThem(t *testing.T) {
	onStores(t, everything, func(t *testing.T, s replayserver.Store) {
		const channels, each = 1000, 20
		var wg sync.WaitGroup
		wg.Add(channels * each)
		var failed atomic.Pointer[error]
		for range each {
			for i := range channels {
				s.Append(fmt.Sprintf("/a/%d", i), func(replay.ID) []byte { return []byte(`"x"`) }, func(_ replay.ID, _ []byte, err error) {
					if err != nil {
						failed.Store(&err)
					}
					wg.Done()
				})
			}
		}
		wg.Wait()
		require.Nil(t, failed.Load())
		got, last := 0, replay.ID(0)
		allocated := testing.AllocsPerRun(1, func() {
			got, last = 0, 0
			err := s.Read(t.Context(), "/**", 0, 1<<62, func(m replayserver.Message) bool {
				if m.ID <= last {
					t.Errorf("%d after %d", m.ID, last)
				}
				got, last = got+1, m.ID
				return true
			})
			require.NoError(t, err)
		})
		assert.Equal(t, channels*each, got)
		assert.Less(t, allocated, float64(40*channels*each), "for each message its own")
	})
}
