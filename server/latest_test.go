package server

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
)

// latestOf is a server whose channels keep their latest message.
func latestOf(t *testing.T, opts ...Option) *Server {
	srv, err := New(append(opts, WithChannel("/**", ChannelOptions{SendLast: true}))...)
	require.NoError(t, err)
	t.Cleanup(func() { srv.Close() })
	return srv
}

// numbers are the data that wait for s.
func numbersFor(t *testing.T, s *Session) (all []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.out.queue {
		var m bayeux.Message
		var n int
		require.NoError(t, m.UnmarshalJSON(e.text))
		require.NoError(t, m.Decode(&n))
		all = append(all, n)
	}
	return all
}

// Whoever subscribes while others publish, to a channel or to a pattern that is new,
// gets each message once, in order, and none but older ones is missing.
func TestWhoComesWhileOthersPublishGetsTheLatestAndAllThatFollowsOnce(t *testing.T) {
	srv := latestOf(t)
	for i := range 2000 {
		name := fmt.Sprintf("/t%d/%%s", i)
		s, _ := sessionOf(srv)
		s.batching++ // nothing leaves
		begun, subscribed := make(chan struct{}), atomic.Bool{}
		last := 0
		var publisher sync.WaitGroup
		publisher.Go(func() {
			for more := true; more; last++ {
				more = !subscribed.Load()
				assert.NoError(t, srv.Publish(context.Background(), fmt.Sprintf(name, "x"), last+1))
				if last == 10 {
					close(begun)
				}
			}
		})
		<-begun
		assert.NoError(t, s.Subscribe(fmt.Sprintf(name, []string{"x", "*", "**"}[i%3])))
		subscribed.Store(true)
		publisher.Wait()
		got := numbersFor(t, s)
		require.NotEmpty(t, got)
		for k, n := range got {
			require.Equal(t, last-len(got)+1+k, n, "%d of %d", i, got)
		}
		srv.end(s, 0)
	}
}

// What is published between the two steps of a subscribe has come by the second.
func TestALatestMessageThatHasComeBySubscriptionIsNotGivenAgain(t *testing.T) {
	srv := latestOf(t)
	s, _ := sessionOf(srv)
	s.batching++
	require.NoError(t, srv.Publish(t.Context(), "/a/x", 1))
	ch := srv.createChannel("/a/*", s)
	sub := &subscription{session: s, channel: ch}
	require.True(t, ch.subscribe(sub))
	require.NoError(t, srv.Publish(t.Context(), "/a/x", 2))
	assert.True(t, srv.giveLast(srv.createChannel("/a/x", nil), sub, nil, &wakes{}))
	assert.Equal(t, []int{2}, numbersFor(t, s))
	ch.unsubscribe(sub)
	again := &subscription{session: s, channel: ch}
	require.True(t, ch.subscribe(again))
	assert.True(t, srv.giveLast(srv.createChannel("/a/x", nil), again, nil, &wakes{}))
	assert.Equal(t, []int{2, 2}, numbersFor(t, s), "another subscription")
}

// A message that is kept as the latest goes to each session once, by however many
// patterns it is subscribed.
func TestALatestMessageGoesToEachSubscriberOnce(t *testing.T) {
	srv := latestOf(t)
	var all []*Session
	for i, patterns := range [][]string{{"/**", "/a/x"}, {"/a/x"}, {"/a/x", "/a/*"}} {
		s, _ := sessionOf(srv)
		s.batching++
		all = append(all, s)
		for _, p := range patterns {
			require.NoError(t, s.Subscribe(p), i)
		}
	}
	require.NoError(t, srv.Publish(t.Context(), "/a/x", 1))
	for _, s := range all {
		assert.Equal(t, []int{1}, numbersFor(t, s))
	}
}

// What is published while an extension looks at the latest message for somebody is
// newer, and not missing.
func TestWhatIsPublishedWhileTheLatestMessageIsMadeForSomebodyComes(t *testing.T) {
	for _, name := range []string{"/a", "/*"} {
		t.Run(name, func(t *testing.T) {
			var srv *Server
			published, within := 0, false
			publish := func() {
				published++
				require.NoError(t, srv.Publish(t.Context(), "/a", published))
			}
			srv = latestOf(t, WithExtension(Extension{Deliver: func(context.Context, *Session, *bayeux.Message) error {
				if !within && published < 100 {
					within = true
					publish()
					within = false
				}
				return nil
			}}))
			publish()
			s, _ := sessionOf(srv)
			s.batching++
			require.NoError(t, s.Subscribe(name))
			assert.Equal(t, []int{published}, numbersFor(t, s))
			assert.Equal(t, 2, published)
		})
	}
}

// Latest messages that strangers leave behind take so much memory and no more, and
// those of channels that are listened to stay.
func TestLatestMessagesAreBoundedAndThoseThatNobodyListensToGoFirst(t *testing.T) {
	const limit, size = 100_000, 1000
	synctest.Test(t, func(t *testing.T) {
		broken := map[string]int{}
		srv, err := New(WithChannel("/**", ChannelOptions{SendLast: true}), WithLimits(Limits{LatestBytes: limit}),
			WithHooks(Hooks{Limited: func(limit string) { broken[limit]++ }}))
		require.NoError(t, err)
		defer srv.Close()
		listener, _ := sessionOf(srv)
		for _, ch := range []string{"/price/a", "/quote/*"} {
			require.NoError(t, listener.Subscribe(ch))
		}
		publish := func(ch string) {
			require.NoError(t, srv.Publish(t.Context(), ch, strings.Repeat("x", size)))
			synctest.Wait()
			assert.LessOrEqual(t, srv.channels.lasts.bytes.Load(), int64(limit))
		}
		kept := func(pattern string) int {
			s, _ := sessionOf(srv)
			defer srv.end(s, 0)
			require.NoError(t, s.Subscribe(pattern))
			return len(s.out.queue)
		}
		publish("/price/a")
		publish("/quote/b")
		for i := range 1000 {
			publish(fmt.Sprint("/stranger/", i))
			if i%10 == 0 {
				time.Sleep(time.Second)
			}
		}
		assert.Equal(t, 1, kept("/price/a"))
		assert.Equal(t, 1, kept("/quote/*"))
		assert.Zero(t, kept("/stranger/0"))
		assert.Equal(t, 1, kept("/stranger/999"))
		assert.Greater(t, kept("/stranger/*"), 80)
		assert.Equal(t, 1002, broken[limitLatestBytes]+len(srv.channels.lasts.matching("/**")), "each one that has gone is counted")
		time.Sleep(10 * time.Second)
		assert.Less(t, srv.Stats().Channels, 120, "a channel without a message goes as others do")

		require.NoError(t, srv.Configure("/**", ChannelOptions{}))
		publish("/price/a")
		assert.Zero(t, kept("/price/a"), "what it kept is not its latest message any more")
		srv.end(listener, 0)
		time.Sleep(10 * time.Second)
		assert.Zero(t, srv.channels.lasts.bytes.Load())
	})
}

// User code that ends its goroutine while the latest message is made for somebody
// leaves the channel as it is for others.
func TestADeliverThatEndsItsGoroutineHoldsUpNoChannel(t *testing.T) {
	exits := false
	srv := latestOf(t, WithExtension(Extension{Deliver: func(context.Context, *Session, *bayeux.Message) error {
		if exits {
			runtime.Goexit()
		}
		return nil
	}}))
	require.NoError(t, srv.Publish(t.Context(), "/a", 1))
	s, _ := sessionOf(srv)
	s.batching++
	exits = true
	var subscribing sync.WaitGroup
	subscribing.Go(func() { assert.NoError(t, s.Subscribe("/a")) })
	subscribing.Wait()
	exits = false
	require.NoError(t, srv.Publish(t.Context(), "/a", 2))
	assert.Equal(t, []int{2}, numbersFor(t, s))
}

// Patterns come and go without end, and what a channel knows of them must not add up.
func TestAChannelThatStaysHoldsNoPatternInMemoryThatHasGone(t *testing.T) {
	srv := latestOf(t, WithTiming(Timing{Sweep: time.Hour}))
	s, _ := sessionOf(srv)
	s.batching++
	require.NoError(t, s.Subscribe("/a/*"))
	require.NoError(t, srv.Publish(t.Context(), "/a/x", 1))
	pattern := weak.Make(srv.channels.get([]byte("/a/*")))
	require.NotNil(t, pattern.Value())
	srv.end(s, 0)
	for range 4 {
		srv.channels.sweep(nil)
	}
	require.NotNil(t, srv.channels.get([]byte("/a/x")))
	runtime.GC()
	assert.Nil(t, pattern.Value())
}

// What comes while others are dropped, and so is dropped by nobody at once, is not
// left.
func TestLatestMessagesThatComeWhileOthersAreDroppedAreBoundedToo(t *testing.T) {
	const limit = 2000
	synctest.Test(t, func(t *testing.T) {
		var srv *Server
		publish := func(ch string) {
			assert.NoError(t, srv.Publish(context.Background(), ch, strings.Repeat("x", limit*2/3)))
		}
		broken := 0
		srv = latestOf(t, WithLimits(Limits{LatestBytes: limit}), WithHooks(Hooks{Limited: func(string) {
			if broken++; broken == 1 {
				publish("/c")
				publish("/d")
			}
		}}))
		publish("/a")
		publish("/b")
		synctest.Wait()
		assert.LessOrEqual(t, srv.channels.lasts.bytes.Load(), int64(limit))
	})
}
