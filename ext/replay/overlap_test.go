package replay_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
)

// heard is what one channel's subscriptions handled, one after the other.
type heard struct {
	mu  sync.Mutex
	all []int
}

func (h *heard) handle(_ context.Context, m *bayeux.Message) error {
	n, err := strconv.Atoi(string(m.Data))
	h.mu.Lock()
	h.all = append(h.all, n)
	h.mu.Unlock()
	return err
}

func (h *heard) so() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

func expireAll(srv *server.Server) {
	for s := range srv.Sessions() {
		s.Expire(time.Now(), 0)
	}
}

// A pattern is live while a channel of it begins far in the past, and the
// session is lost in the middle of that.
func TestAChannelJoinsFromItsPositionWhileAPatternIsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := replayserver.New(replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
		require.NoError(t, err)
		srv, err := server.New(h, server.WithLimits(server.Limits{SessionBytes: 10_000}))
		require.NoError(t, err)
		published := 0
		publish := func(n int) {
			for range n {
				require.NoError(t, srv.Publish(t.Context(), "/a/x", published))
				published++
			}
		}
		positions := new(replay.Memory)
		c := dial(t, srv, replay.Config{Store: positions})
		var wide, narrow heard
		_, err = c.SubscribeFunc(t.Context(), "/a/*", wide.handle)
		require.NoError(t, err)
		publish(1)
		synctest.Wait()
		first, found, _ := positions.Load(t.Context(), "/a/*")
		require.True(t, found)
		publish(1000)
		synctest.Wait()
		require.NoError(t, positions.Save(t.Context(), "/a/x", first))

		_, err = c.SubscribeFunc(t.Context(), "/a/x", func(ctx context.Context, m *bayeux.Message) error {
			time.Sleep(time.Millisecond)
			return narrow.handle(ctx, m)
		}, client.WithQueue(10, client.Pause), client.WithOnGap(func(g client.Gap) { t.Errorf("gap %+v", g) }))
		require.NoError(t, err)
		for range 5 {
			publish(10)
			time.Sleep(100 * time.Millisecond)
			expireAll(srv)
			time.Sleep(100 * time.Millisecond)
			publish(10)
		}
		time.Sleep(time.Minute)
		assert.Equal(t, upTo(0, published), wide.so())
		assert.Equal(t, upTo(1, published), narrow.so())
		c.Close()
		srv.Close()
	})
}

func upTo(from, n int) (all []int) {
	for i := from; i < n; i++ {
		all = append(all, i)
	}
	return all
}

// What a pattern gets moves no position of a channel that nobody subscribes to.
func TestAnUnsubscribedChannelKeepsItsPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
		c := dial(t, srv, replay.Config{})
		var narrow, wide heard
		sub, err := c.SubscribeFunc(t.Context(), "/a/x", narrow.handle)
		require.NoError(t, err)
		_, err = c.SubscribeFunc(t.Context(), "/a/*", wide.handle)
		require.NoError(t, err)
		require.NoError(t, srv.Publish(t.Context(), "/a/x", 0))
		synctest.Wait()
		require.NoError(t, sub.Unsubscribe(t.Context()))
		for i := range 3 {
			require.NoError(t, srv.Publish(t.Context(), "/a/x", i+1))
		}
		synctest.Wait()
		_, err = c.SubscribeFunc(t.Context(), "/a/x", narrow.handle)
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, srv.Publish(t.Context(), "/a/x", 4))
		synctest.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4}, narrow.so())
		assert.Equal(t, []int{0, 1, 2, 3, 4}, wide.so())
		c.Close()
		srv.Close()
	})
}

// Whatever happens to sessions and subscriptions, each channel and pattern gets
// all that was published on it from its first subscription on, once, in order.
func TestOverlappingSubscriptionsMissAndRepeatNothing(t *testing.T) {
	for seed := range 40 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { overlap(t, rand.New(rand.NewPCG(uint64(seed), 1))) })
		})
	}
}

func overlap(t *testing.T, r *rand.Rand) {
	h, err := replayserver.New(replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
	require.NoError(t, err)
	srv, err := server.New(h, server.WithLimits(server.Limits{SessionBytes: 3000}))
	require.NoError(t, err)
	c := dial(t, srv, replay.Config{First: replay.All})
	channels := []string{"/a/x", "/a/y", "/b/x"}
	patterns := []string{"/a/x", "/a/*", "/**", "/b/x"}
	subs := map[string]*client.Subscription{}
	all := map[string]*heard{}
	var published []string
	for range 150 {
		switch p := patterns[r.IntN(len(patterns))]; r.IntN(8) {
		default:
			for range r.IntN(30) {
				ch := channels[r.IntN(len(channels))]
				require.NoError(t, srv.Publish(t.Context(), ch, len(published)))
				published = append(published, ch)
			}
		case 0, 1, 2:
			if subs[p] != nil {
				break
			}
			if all[p] == nil {
				all[p] = new(heard)
			}
			for subs[p] == nil { // its session may end, twice
				subs[p], err = c.SubscribeFunc(t.Context(), p, all[p].handle, client.WithQueue(5, client.Pause))
				if err != nil {
					require.ErrorIs(t, err, bayeux.ErrUnknownSession)
				}
			}
		case 3:
			if subs[p] == nil {
				break
			}
			synctest.Wait() // what is given up comes again, or not if it is under way
			require.NoError(t, subs[p].Unsubscribe(t.Context()))
			subs[p] = nil
		case 4:
			expireAll(srv)
		case 5:
			time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		case 6:
			synctest.Wait()
		}
	}
	time.Sleep(time.Minute)
	for p, h := range all {
		got, want := h.so(), []int(nil)
		for i, ch := range published {
			if bayeux.Channel(p).Match(ch) {
				want = append(want, i)
			}
		}
		if subs[p] == nil {
			want = want[:min(len(want), len(got))]
		}
		assert.True(t, slices.Equal(want, got), "%s: %d of %d: %v", p, len(got), len(want), got)
	}
	c.Close()
	srv.Close()
}

// On the channel of marks, too, what is no mark is an event; and a mark of a
// subscription that is over moves no other.
func TestWhatIsNoMarkIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/**"}))
		c := dial(t, srv, replay.Config{})
		var got heard
		_, err := c.SubscribeFunc(t.Context(), "/a", got.handle)
		require.NoError(t, err)
		other, err := c.Listen(replay.Channel)
		require.NoError(t, err)
		for _, v := range []any{replay.Mark{Live: 1 << 40}, "text", map[string]int{"live": 0}} {
			require.NoError(t, srv.Session(c.ID()).Send(replay.Channel, v))
		}
		require.NoError(t, srv.Publish(t.Context(), "/a", 1))
		var others []string
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for m := range other.Messages(ctx) {
			if others = append(others, string(m.Data)); len(others) == 2 {
				break
			}
		}
		assert.Equal(t, []string{`"text"`, `{"live":0}`}, others)
		synctest.Wait()
		assert.Equal(t, []int{1}, got.so())
		c.Close()
		srv.Close()
	})
}
