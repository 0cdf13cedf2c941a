package server_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// One message to many is in the memory once: whoever reads it goes on, and
// misses nothing, also where all copies together would be far too much.
func TestALargeBroadcastToManyWhoReadEndsNobody(t *testing.T) {
	const subscribers, messages = 40, 4
	everywhere(t, func(t *testing.T, w *world) {
		var all []*wire
		for range subscribers {
			all = append(all, w.session("/a"))
		}
		for range messages {
			require.NoError(t, w.Publish(t.Context(), "/a", strings.Repeat("x", 20_000)))
		}
		for _, c := range all {
			assert.Len(t, c.events(messages), messages)
			assert.NotNil(t, w.Session(c.id))
		}
		assert.Empty(t, w.Stats().Limited)
		all[0].eventually(func() bool { return w.Stats().QueuedBytes == 0 })
	}, server.WithLimits(server.Limits{ServerBytes: 150_000}), server.WithTiming(server.Timing{MaxInterval: time.Minute}))
}

// stayAway makes clients whose sessions are kept for an hour without them.
var stayAway = server.WithTiming(server.Timing{MaxInterval: time.Hour})

func TestWhoHasWaitedForLongestGoesFirstWhenTheServerIsFull(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		oldest, fullest, newest, well := w.session("/1"), w.session("/2"), w.session("/3"), w.session("/a")
		for i, c := range []*wire{oldest, fullest, newest} {
			c.cut()
			require.NoError(t, w.Publish(t.Context(), []string{"/1", "/2", "/3"}[i], strings.Repeat("x", []int{3000, 5000, 2500}[i])))
			if c == newest {
				break
			}
			time.Sleep(5 * time.Second)
			require.NotNil(t, w.Session(oldest.id))
		}
		w.settle()
		assert.Nil(t, w.Session(oldest.id))
		assert.NotNil(t, w.Session(fullest.id))
		assert.NotNil(t, w.Session(newest.id))
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, []string{"1"}, well.data(1))
		assert.EqualValues(t, 1, w.Stats().Limited["server_bytes"])
	}, server.WithLimits(server.Limits{ServerBytes: 10_000}), stayAway)
}

// To make room, only who is slow is closed.
func TestNobodyWhoHasJustGotSomethingIsClosedToMakeRoom(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		slow, b, c := w.session("/1"), w.session("/2"), w.session("/3")
		for _, x := range []*wire{slow, b, c} {
			x.cut()
		}
		require.NoError(t, w.Publish(t.Context(), "/1", strings.Repeat("x", 700)))
		time.Sleep(5 * time.Second)
		require.NoError(t, w.Publish(t.Context(), "/2", strings.Repeat("x", 4000)))
		require.NoError(t, w.Publish(t.Context(), "/3", strings.Repeat("x", 5300)))
		assert.Nil(t, w.Session(slow.id))
		assert.Greater(t, w.Stats().QueuedBytes, 9000, "more than seven eighths")
		assert.NotNil(t, w.Session(b.id))
		assert.NotNil(t, w.Session(c.id))
	}, server.WithLimits(server.Limits{ServerBytes: 10_000}), stayAway)
}

// What is counted as queued is about what it takes, of large messages and of
// small ones, for one and for many.
func TestQueuedBytesAreTheMemoryOfWhatIsQueued(t *testing.T) {
	for _, c := range []struct{ sessions, messages, size int }{{1, 3000, 1000}, {200, 300, 3000}, {200, 5000, 1}} {
		synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
			for range c.sessions {
				w.session("/a").cut()
			}
			before := heap()
			for range c.messages {
				require.NoError(t, w.Publish(t.Context(), "/a", strings.Repeat("x", c.size)))
			}
			grown, counted := heap()-before, w.Stats().QueuedBytes
			assert.Less(t, float64(grown), 1.2*float64(counted)+100_000, "counted %d, %+v", counted, c)
			assert.Greater(t, 3*float64(grown), float64(counted), "%+v", c)
			assert.Equal(t, c.sessions, w.Stats().Sessions)
		}, server.WithLimits(server.Limits{SessionBytes: -1}), stayAway)
	}
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Each way into an outbox and out of it keeps the count.
func TestTheCountOfWhatIsQueuedBalancesHoweverItCameAndLeft(t *testing.T) {
	latest := server.WithChannel("/latest/**", server.ChannelOptions{Overflow: server.KeepLatest, SendLast: true})
	oldest := server.WithChannel("/oldest/**", server.ChannelOptions{Overflow: server.DropOldest})
	onBoth(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Publish(t.Context(), "/latest/a", strings.Repeat("x", 500)))
		assert.Zero(t, w.Stats().QueuedBytes, "it waits for nobody")
		away, well := w.session("/oldest/a"), w.session("/latest/**", "/oldest/a")
		assert.Len(t, well.events(1), 1)
		away.cut()
		require.NoError(t, w.Session(away.id).Subscribe("/latest/a"))
		assert.InDelta(t, 600, w.Stats().QueuedBytes, 100, "the latest, once, for who has not read it")
		require.NoError(t, w.Session(away.id).Send("/own", 1))
		for range 50 {
			require.NoError(t, w.Publish(t.Context(), "/latest/a", strings.Repeat("x", 300)))
			require.NoError(t, w.Publish(t.Context(), "/oldest/a", strings.Repeat("x", 300)))
			well.events(2)
		}
		assert.Less(t, w.Stats().QueuedBytes, 10_000)
		w.Session(away.id).Disconnect()
		away.ask(`{"channel":"/meta/connect","id":"last","clientId":"$"}`)
		w.settle()
		assert.Zero(t, w.Stats().QueuedBytes)
	}, latest, oldest, server.WithLimits(server.Limits{SessionBytes: 5000}), stayAway)
}
