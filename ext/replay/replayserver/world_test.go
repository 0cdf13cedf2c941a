package replayserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/boltstore"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

// onStores runs a test on each store.
func onStores(t *testing.T, rules []replayserver.Rule, f func(t *testing.T, s replayserver.Store)) {
	t.Run("memory", func(t *testing.T) { f(t, replayserver.NewMemory(rules...)) })
	t.Run("bolt", func(t *testing.T) {
		s, err := boltstore.Open(filepath.Join(t.TempDir(), "h.db"), rules...)
		require.NoError(t, err)
		f(t, s)
		require.NoError(t, s.Close())
	})
}

func serve(t *testing.T, s replayserver.Store, opts ...replayserver.Option) *server.Server {
	h, err := replayserver.New(s, opts...)
	require.NoError(t, err)
	srv, err := server.New(h)
	require.NoError(t, err)
	return srv
}

func dial(t *testing.T, srv *server.Server, opts ...client.Option) *client.Client {
	c, err := client.New("http://test/", append([]client.Option{client.WithTransports(memory.NewDialer(srv.ServeConn))}, opts...)...)
	require.NoError(t, err)
	return c
}

// from subscribes at a position by hand and returns the next n ids and data.
func from(t *testing.T, c *client.Client, ch string, at any, n int) (ids []replay.ID, data []string) {
	var ext bayeux.Ext
	require.NoError(t, ext.Set("replay", map[string]any{ch: at}))
	sub, err := c.Subscribe(t.Context(), ch, client.WithSubscribeExt(ext))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for m := range sub.Messages(ctx) {
		id, _ := replay.IDOf(m.Data)
		ids, data = append(ids, id), append(data, string(m.Data))
		if len(ids) == n {
			break
		}
	}
	require.Equal(t, n, len(ids))
	return ids, data
}

var everything = []replayserver.Rule{{Pattern: "/**"}}

func TestThePastComesAsSalesforceHasIt(t *testing.T) {
	onStores(t, everything, func(t *testing.T, s replayserver.Store) {
		srv := serve(t, s)
		for _, v := range []any{map[string]int{"a": 1}, map[string]any{}, "text", nil, map[string]any{"event": 5}, map[string]any{"event": map[string]int{"x": 1}},
			map[string]any{"replay.data": 5}, json.RawMessage(`{"replay\u002edata":5,"a":1}`), map[string]any{"a": map[string]int{"replay.data": 5}}} {
			require.NoError(t, srv.Publish(t.Context(), "/event/Order", v))
		}
		c := dial(t, srv)
		ids, data := from(t, c, "/event/Order", -2, 9)
		for i, want := range []string{
			`{"event":{"replayId":%d},"a":1}`,
			`{"event":{"replayId":%d}}`,
			`{"event":{"replayId":%d},"replay.data":"text"}`,
			`{"event":{"replayId":%d},"replay.data":null}`,
			`{"event":{"replayId":%d},"replay.data":{"event":5}}`,
			`{"event":{"replayId":%d,"x":1}}`,
			`{"event":{"replayId":%d},"replay.data":{"replay.data":5}}`,
			`{"event":{"replayId":%d},"replay.data":{"replay\u002edata":5,"a":1}}`,
			`{"event":{"replayId":%d},"a":{"replay.data":5}}`,
		} {
			assert.Equal(t, fmt.Sprintf(want, ids[i]), data[i])
			assert.True(t, i == 0 || ids[i] > ids[i-1])
		}
		c2 := dial(t, srv)
		after, _ := from(t, c2, "/event/Order", fmt.Sprint(ids[2]), 6) // as a string, as elastic does
		assert.Equal(t, ids[3:], after)
		c.Close()
		c2.Close()
		srv.Close()
	})
}

func TestAPositionThatIsGoneIsRefused(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/**", Messages: 3}}, func(t *testing.T, s replayserver.Store) {
		srv := serve(t, s)
		c := dial(t, srv)
		require.NoError(t, srv.Publish(t.Context(), "/a", 0))
		ids, _ := from(t, c, "/a", -2, 1)
		for i := range 4 {
			require.NoError(t, srv.Publish(t.Context(), "/a", i))
		}
		for _, bad := range []any{ids[0], 1, 1 << 60, "x", -3, 1.5, nil} {
			var ext bayeux.Ext
			require.NoError(t, ext.Set("replay", map[string]any{"/a": bad}))
			c := dial(t, srv)
			_, err := c.Subscribe(t.Context(), "/a", client.WithSubscribeExt(ext))
			e, ok := errors.AsType[*bayeux.Error](err)
			require.True(t, ok, "%v: %v", bad, err)
			assert.Equal(t, 400, e.Code)
			assert.Contains(t, e.Message, "replayId")
			c.Close()
		}
		c2 := dial(t, srv)
		from(t, c2, "/a", ids[0]+1, 3) // the last one that is gone: nothing is missing after it
		c.Close()
		c2.Close()
		srv.Close()
	})
}

// Subscribers come while others publish as fast as they can: each gets
// everything after its position, once and in order, on a channel and on a
// pattern.
func TestThePastJoinsThePresentWithoutGapOrRepeat(t *testing.T) {
	onStores(t, everything, func(t *testing.T, s replayserver.Store) {
		srv := serve(t, s)
		const messages, publishers, readers = 600, 3, 6
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				for i := range messages / publishers {
					assert.NoError(t, srv.Publish(context.Background(), fmt.Sprintf("/a/%d", i%2), []int{p, i}))
				}
			})
		}
		pattern := make([][]replay.ID, readers)
		for r := range readers {
			wg.Go(func() {
				time.Sleep(time.Duration(r) * 3 * time.Millisecond)
				c := dial(t, srv)
				defer c.Close()
				pattern[r], _ = from(t, c, "/a/*", -2, messages)
			})
		}
		wg.Wait()
		var stored []replay.ID
		require.NoError(t, s.Read(t.Context(), "/**", 0, 1<<62, func(m replayserver.Message) bool {
			stored = append(stored, m.ID)
			return true
		}))
		require.Len(t, stored, messages)
		for _, ids := range pattern {
			assert.True(t, slices.Equal(stored, ids))
		}
		srv.Close()
	})
}

func TestPublishesOfOnePayloadAreKeptAndAnsweredTogether(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/kept/**"}}, func(t *testing.T, s replayserver.Store) {
		srv := serve(t, s)
		c := dial(t, srv)
		b := c.Batch()
		for i := range 200 {
			b.Publish("/kept/a", i)
			b.Publish("/other", i)
		}
		require.NoError(t, b.Send(t.Context()))
		_, data := from(t, c, "/kept/a", -2, 200)
		assert.Contains(t, data[199], `"replay.data":199}`)
		c.Close()
		srv.Close()
	})
}

func TestLatestValueAndLastNOnSubscribe(t *testing.T) {
	onStores(t, everything, func(t *testing.T, s replayserver.Store) {
		srv := serve(t, s, replayserver.WithLast("/price/*", 1), replayserver.WithLast("/chat/*", 3))
		for i := range 5 {
			srv.Publish(t.Context(), "/price/a", i)
			srv.Publish(t.Context(), "/chat/a", i)
		}
		for ch, want := range map[string][]string{"/price/a": {"4"}, "/chat/a": {"2", "3", "4"}} {
			c := dial(t, srv) // knows nothing of replay
			sub, err := c.Subscribe(t.Context(), ch)
			require.NoError(t, err)
			for m := range sub.Messages(t.Context()) {
				var d map[string]json.RawMessage
				require.NoError(t, m.Decode(&d))
				assert.Equal(t, want[0], string(d["replay.data"]))
				if want = want[1:]; len(want) == 0 {
					break
				}
			}
			c.Close()
		}
		srv.Close()
	})
}

func TestAChannelWithoutRuleHasNoHistory(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/kept"}}, func(t *testing.T, s replayserver.Store) {
		srv := serve(t, s)
		c := dial(t, srv)
		sub, err := c.Subscribe(t.Context(), "/other")
		require.NoError(t, err)
		require.NoError(t, srv.Publish(t.Context(), "/other", 1))
		for m := range sub.Messages(t.Context()) {
			assert.Equal(t, "1", string(m.Data))
			break
		}
		c.Close()
		srv.Close()
	})
}

// A slow reader of a long past fills neither its outbox nor the memory.
func TestALongPastLeavesAtThePaceOfItsReader(t *testing.T) {
	s := replayserver.NewMemory(everything...)
	h, err := replayserver.New(s)
	require.NoError(t, err)
	srv, err := server.New(h, server.WithLimits(server.Limits{SessionBytes: 20_000}))
	require.NoError(t, err)
	for i := range 5000 {
		require.NoError(t, srv.Publish(t.Context(), "/a", fmt.Sprintf("%0100d", i)))
	}
	c := dial(t, srv)
	from(t, c, "/a", -2, 5000)
	c.Close()
	srv.Close()
}

func TestMemoryKeepsWithinItsBounds(t *testing.T) {
	for rule, want := range map[replayserver.Rule]int{
		{Pattern: "/a", Messages: 7}:            7,
		{Pattern: "/a", Bytes: 100}:             10,
		{Pattern: "/a", Age: time.Nanosecond}:   0,
		{Pattern: "/a", Messages: 9, Bytes: 80}: 8,
	} {
		s := replayserver.NewMemory(rule)
		for range 20 {
			s.Append("/a", func(replay.ID) []byte { return []byte("0123456789") }, func(replay.ID, []byte, error) {})
		}
		time.Sleep(time.Microsecond)
		n := 0
		s.Read(t.Context(), "/a", 0, 1<<62, func(replayserver.Message) bool { n++; return true })
		assert.Equal(t, want, n, "%+v", rule)
	}
}

// The past is trimmed while a slow reader is in the middle of it: its session
// ends, so that it learns of the gap.
func TestAReaderThatIsOvertakenByRetentionIsTold(t *testing.T) {
	s := replayserver.NewMemory(replayserver.Rule{Pattern: "/a", Messages: 1000})
	h, err := replayserver.New(s)
	require.NoError(t, err)
	srv, err := server.New(h, server.WithLimits(server.Limits{SessionBytes: 100_000}))
	require.NoError(t, err)
	publish := func() {
		for i := range 1000 {
			require.NoError(t, srv.Publish(t.Context(), "/a", fmt.Sprintf("%02000d", i)))
		}
	}
	publish()
	c := dial(t, srv, client.WithLimits(client.Limits{QueueBytes: 200_000}))
	var ext bayeux.Ext
	require.NoError(t, ext.Set("replay", map[string]int{"/a": -2}))
	sub, err := c.Subscribe(t.Context(), "/a", client.WithSubscribeExt(ext), client.WithQueue(1, client.Pause))
	require.NoError(t, err)
	id := c.ID()
	for range sub.Messages(t.Context()) {
		break
	}
	publish()
	for range sub.Messages(t.Context()) {
		if srv.Session(id) == nil {
			break
		}
	}
	assert.Nil(t, srv.Session(id))
	c.Close()
	srv.Close()
}

// handshakes counts those of a server.
func handshakes(n *atomic.Int64) server.Option {
	return server.WithExtension(server.Extension{
		Channels: []string{bayeux.MetaHandshake},
		Incoming: func(context.Context, *server.Session, *bayeux.Message) error { n.Add(1); return nil },
	})
}

// The latest value of a quiet channel is too old, and that of a busy one is gone
// before it can be sent: neither is a reason to end a session.
func TestSubscribersToLatestValuesKeepTheirSession(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/price/busy", Messages: 1}, {Pattern: "/price/few", Messages: 2}, {Pattern: "/price/*", Age: time.Millisecond}}, func(t *testing.T, s replayserver.Store) {
		h, err := replayserver.New(s, replayserver.WithLast("/price/*", 1))
		require.NoError(t, err)
		var sessions atomic.Int64
		srv, err := server.New(h, handshakes(&sessions))
		require.NoError(t, err)
		require.NoError(t, srv.Publish(t.Context(), "/price/quiet", 1))
		time.Sleep(2 * time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		var publishers sync.WaitGroup
		for _, ch := range []string{"/price/busy", "/price/few"} {
			publishers.Go(func() {
				for ctx.Err() == nil {
					assert.NoError(t, srv.Publish(t.Context(), ch, 1))
				}
			})
		}
		const subscribers = 8
		for range subscribers {
			c := dial(t, srv)
			for _, ch := range []string{"/price/busy", "/price/few", "/price/quiet"} {
				sub, err := c.Subscribe(t.Context(), ch, client.WithQueue(10, client.DropOldest))
				require.NoError(t, err)
				if ch != "/price/quiet" {
					for range sub.Messages(t.Context()) {
						break
					}
				}
				require.NoError(t, sub.Unsubscribe(t.Context()))
			}
			c.Close()
		}
		cancel()
		publishers.Wait()
		assert.EqualValues(t, subscribers, sessions.Load())
		srv.Close()
	})
}

// What "cometd serve --history --history-messages 1000" keeps of two channels,
// one of which had more, comes whole, in one session and without a gap.
func TestEverythingThatIsKeptOfAPatternComes(t *testing.T) {
	onStores(t, []replayserver.Rule{{Pattern: "/**", Messages: 1000}}, func(t *testing.T, s replayserver.Store) {
		want := append(fill(t, s, "/a/old", 900), fill(t, s, "/a/busy", 1500)[500:]...)
		h, err := replayserver.New(s)
		require.NoError(t, err)
		var sessions atomic.Int64
		srv, err := server.New(h, handshakes(&sessions))
		require.NoError(t, err)
		c := dial(t, srv)
		got, _ := from(t, c, "/a/*", -2, 1900)
		assert.Equal(t, want, got)
		assert.EqualValues(t, 1, sessions.Load())
		c.Close()
		srv.Close()
	})
}
