package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// sessionOf is a session on a stream that takes all at once.
func sessionOf(srv *Server) (*Session, *turn) {
	l := newLink(srv, &stream{told: func() {}})
	s := newSession(srv, l)
	srv.sessions.add(s, &srv.config)
	s.phase = connected
	return s, &turn{srv: srv, link: l, session: s}
}

// Whoever may create channels cannot make each subscription to a pattern a walk
// over all of them.
func TestWhoSubscribesToAPatternLooksOnlyAtChannelsThatKeepAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := New(WithChannel("/last/**", ChannelOptions{SendLast: true}), WithTiming(Timing{MaxInterval: time.Hour}))
		require.NoError(t, err)
		defer srv.Close()
		for i := range 100 {
			srv.createChannel(fmt.Sprint("/last/", i), nil)
			require.NoError(t, srv.Publish(t.Context(), fmt.Sprint("/other/", i), i))
		}
		for i := range 6 {
			require.NoError(t, srv.Publish(t.Context(), fmt.Sprint("/last/", i%3), i))
		}
		assert.Len(t, srv.channels.lasts.matching("/**"), 3)
		s, _ := sessionOf(srv)
		require.NoError(t, s.Subscribe("/**"))
		assert.Equal(t, 3, s.Outbox().Len())

		time.Sleep(time.Minute)
		assert.Len(t, srv.channels.lasts.matching("/**"), 3)
		require.NoError(t, srv.Configure("/last/**", ChannelOptions{}))
		time.Sleep(time.Minute)
		assert.Empty(t, srv.channels.lasts.matching("/**"), "they have gone")
	})
}

// Where those are many, others go first now and then.
func TestManyLatestMessagesLetOthersGoFirst(t *testing.T) {
	ways := 0
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { ways++ }
	srv, err := New(WithChannel("/**", ChannelOptions{SendLast: true}), WithTiming(Timing{Sweep: time.Hour}))
	require.NoError(t, err)
	defer srv.Close()
	for i := range 5000 {
		require.NoError(t, srv.Publish(t.Context(), fmt.Sprint("/a/", i), i))
	}
	s, turn := sessionOf(srv)
	fresh, refused := srv.subscribe(s, "/a/*", turn)
	assert.True(t, fresh)
	assert.Nil(t, refused)
	assert.Equal(t, 5000, s.Outbox().Len())
	assert.NotZero(t, ways)
	ways = 0
	s.Unsubscribe("/a/*")
	require.NoError(t, s.Subscribe("/a/*"))
	assert.Zero(t, ways, "the application is not kept waiting")
}

// What is published while a pattern's subscriber is given the latest messages comes
// by the pattern, and not as the latest once more.
func TestALatestMessageIsGivenOnceToWhoSubscribesToAPattern(t *testing.T) {
	var meanwhile func()
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { meanwhile() }
	srv, err := New(WithChannel("/**", ChannelOptions{SendLast: true}), WithTiming(Timing{Sweep: time.Hour}))
	require.NoError(t, err)
	defer srv.Close()
	publish := func(round int) {
		for i := range 5000 {
			require.NoError(t, srv.Publish(t.Context(), fmt.Sprint("/a/", i), fmt.Sprint(round, " ", i)))
		}
	}
	publish(1)
	again := false
	meanwhile = func() {
		if !again {
			again = true
			publish(2)
		}
	}
	s, turn := sessionOf(srv)
	_, refused := srv.subscribe(s, "/a/*", turn)
	assert.Nil(t, refused)
	assert.True(t, again)
	times := map[string]int{}
	for _, e := range s.out.queue {
		times[string(e.text)]++
	}
	second := 0
	for text, n := range times {
		assert.Equal(t, 1, n, text)
		if strings.Contains(text, `"2 `) {
			second++
		}
	}
	assert.Equal(t, 5000, second, "none is missing")
}

// An exchange tells what it was answered with.
type exchange struct {
	stream
	answers chan string
}

func (e *exchange) Send(p *transport.Payload) error {
	e.answers <- string(p.AppendTo(nil))
	return nil
}

// A connect that has just moved to polling is answered when its session is
// disconnected over the stream that it has left.
func TestADisconnectAnswersAConnectThatHasMovedToPolling(t *testing.T) {
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	s, turn := sessionOf(srv)
	poll := &exchange{stream{peer: transport.Peer{Type: bayeux.LongPolling, Once: true}}, make(chan string, 1)}
	s.mu.Lock()
	s.hold(held{link: newLink(srv, poll), id: "7", until: time.Now().Add(time.Hour)})
	s.mu.Unlock()
	turn.disconnect(&bayeux.Message{Channel: bayeux.MetaDisconnect, ID: "8"})
	select {
	case answer := <-poll.answers:
		assert.Contains(t, answer, `"id":"7"`)
	case <-time.After(10 * time.Second):
		assert.Fail(t, "no answer")
	}
}

// What was sent waits for its acknowledgement only, which a client may take its time
// for; but not for ever.
func TestWhoNeverAcknowledgesHasWaitedSinceTheFirst(t *testing.T) {
	srv, err := New(WithTiming(Timing{Timeout: 20 * time.Hour, MaxInterval: 10 * time.Hour, Sweep: time.Hour})) // none is made
	require.NoError(t, err)
	defer srv.Close()
	s, _ := sessionOf(srv)
	for born := range uint32(3) {
		s.out.queue = append(s.out.queue, &event{text: []byte("{}"), born: born})
	}
	since := func(kept int, now uint32) uint32 {
		s.out.kept = kept
		srv.sweeps.Store(now)
		since, _ := s.out.backlog()
		return since
	}
	assert.EqualValues(t, 0, since(0, 5), "nothing was sent")
	assert.EqualValues(t, 1, since(1, 5), "what was sent does not wait")
	assert.EqualValues(t, 2, since(3, 5))
	assert.EqualValues(t, 2, since(3, 30))
	assert.EqualValues(t, 0, since(3, 31), "it should have been acknowledged")
}

// A batch that brings its own session messages again and again keeps its connect for
// later once.
func TestASessionsOwnConnectIsKeptForLaterOnce(t *testing.T) {
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	s, _ := sessionOf(srv)
	w := wakes{held: []*Session{s, s, s}}
	w.flushBut(srv, s)
	assert.Equal(t, []*Session{s}, w.held)
}

// A list may name channels without end, the same ones at that.
func TestAHistoryIsAskedOnceForEachChannelOfASubscribe(t *testing.T) {
	asked := map[string]int{}
	srv, err := New(WithHistory(&History{
		Keeps:  func(string) bool { return true },
		Append: func(context.Context, string, codec.Raw, func(codec.Raw)) func() error { return nil },
		Join: func(context.Context, *Session, *bayeux.Message) func(string) (func(*Joining), error) {
			return func(ch string) (func(*Joining), error) {
				asked[ch]++
				return func(*Joining) {}, nil
			}
		},
	}))
	require.NoError(t, err)
	defer srv.Close()
	s, turn := sessionOf(srv)
	m := &bayeux.Message{Channel: bayeux.MetaSubscribe, ID: "1", Subscription: bayeux.Subscription{Channels: slices.Repeat([]string{"/a", "/a/", " /a", "/b/*"}, 10_000)}}
	for n := range 2 {
		turn.subscribe(m)
		assert.Equal(t, map[string]int{"/a": n + 1, "/b/*": n + 1}, asked, "a second one may ask for a position that is gone")
		assert.Equal(t, []string{"/a", "/b/*"}, s.Subscriptions())
	}
	require.Len(t, turn.replies, 2)
	for _, text := range turn.replies {
		assert.Contains(t, string(text), `"successful":true`)
	}
}

// A policy that takes a millisecond for each channel of a list keeps others waiting
// for one of them, and nobody is asked for a session that has ended meanwhile.
func TestASlowSubscribeLetsOthersGoFirstAndEndsWithItsSession(t *testing.T) {
	defer func(f func()) { giveWay = f }(giveWay)
	asked := 0
	srv, err := New(WithPolicy(Policy{Subscribe: func(context.Context, *Session, string, *bayeux.Message) error {
		asked++
		time.Sleep(time.Millisecond)
		return nil
	}}))
	require.NoError(t, err)
	defer srv.Close()
	s, turn := sessionOf(srv)
	giveWay = func() { s.Disconnect() }
	var all []string
	for i := range 1000 {
		all = append(all, fmt.Sprint("/a/", i))
	}
	turn.subscribe(&bayeux.Message{Channel: bayeux.MetaSubscribe, ID: "1", Subscription: bayeux.Subscription{Channels: all}})
	assert.Equal(t, 1, asked)
	require.Len(t, turn.replies, 1)
	assert.Contains(t, string(turn.replies[0]), "402::session_unknown")
}
