package server

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
