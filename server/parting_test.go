package server

import (
	"encoding/json"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// Who is kicked while it is away costs memory until it comes, and counts in no limit
// of sessions: peers that have themselves kicked without end must not fill it.
func TestNoMoreThanTenThousandKickedClientsAreWaitedFor(t *testing.T) {
	srv, err := New(WithTiming(Timing{Sweep: time.Hour}))
	require.NoError(t, err)
	defer srv.Close()
	one := int64(0)
	for i := range mostKicked + 1000 {
		s, _ := sessionOf(srv)
		require.NoError(t, s.Send("/service/news", 1))
		if i == 0 {
			one = srv.queued.Load()
		}
		s.Disconnect()
	}
	assert.Equal(t, mostKicked, len(srv.sessions.allParting())) // Len would print them
	assert.Equal(t, mostKicked*one, srv.queued.Load(), "what the others had queued is gone")
	assert.EqualValues(t, 1000, srv.Stats().Dropped)
	srv.sweepParting(func(*Session) bool { return true })
	assert.Empty(t, srv.sessions.allParting())
	assert.Zero(t, srv.queued.Load())
}

// A polled takes the one answer to a poll.
type polled struct {
	stream
	got [][]byte
}

func (p *polled) Send(what *transport.Payload) error {
	p.got = append(p.got, what.Messages...)
	return nil
}

// heldBy is a session whose connect is held by an exchange.
func heldBy(srv *Server) (*Session, *polled) {
	x := &polled{stream: stream{told: func() {}, peer: transport.Peer{Once: true}}}
	l := newLink(srv, x)
	s := newSession(srv, l)
	srv.sessions.add(s, &srv.config)
	s.phase = connected
	s.mu.Lock()
	s.hold(held{link: l, id: "c", until: time.Now().Add(time.Hour)})
	s.mu.Unlock()
	return s, x
}

// Whom its poll tells of the kick is not waited for, and so neither takes the place of
// one that is, nor needs one.
func TestAPollThatIsHeldTellsOfAKickHoweverManyAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := New(WithTiming(Timing{Sweep: time.Hour}))
		require.NoError(t, err)
		defer srv.Close()
		kick := func() {
			s, x := heldBy(srv)
			s.Batch(func() {
				require.NoError(t, s.Send("/service/news", 1))
				s.Kick("enough")
			})
			synctest.Wait()
			require.Len(t, x.got, 3)
			assert.Contains(t, string(x.got[0]), "/service/news")
			assert.Contains(t, string(x.got[1]), "enough")
		}
		kick()
		assert.Empty(t, srv.sessions.allParting())
		for range mostKicked {
			s, _ := sessionOf(srv)
			s.Kick("away")
		}
		kick()
		assert.Equal(t, mostKicked, len(srv.sessions.allParting()))
		assert.Zero(t, srv.Stats().Dropped)
	})
}

// Who has come for it waits no more.
func TestAClientThatIsToldOfItsKickMakesRoomForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := New(WithTiming(Timing{Sweep: time.Hour}))
		require.NoError(t, err)
		defer srv.Close()
		for _, once := range []bool{true, false} {
			s, _ := sessionOf(srv)
			s.Kick("enough")
			require.Len(t, srv.sessions.allParting(), 1)
			l := newLink(srv, &polled{stream: stream{told: func() {}, peer: transport.Peer{Once: once}}})
			h := held{link: l, id: "c"}
			s.mu.Lock()
			require.True(t, s.takeParting(&h))
			s.mu.Unlock()
			s.sendConnectReply(&h)
			assert.Empty(t, srv.sessions.allParting(), "once: %v", once)
		}
	})
}

// connectError is what a client is told that comes with the id of s.
func connectError(t *testing.T, srv *Server, s *Session) string {
	c, err := memory.NewDialer(srv.ServeConn).Dial(t.Context(), &transport.Target{URL: &url.URL{Scheme: "http", Host: "test"}})
	require.NoError(t, err)
	defer c.Close(transport.Normal)
	require.NoError(t, c.Send(&transport.Payload{Messages: [][]byte{[]byte(`{"channel":"/meta/connect","id":"1","clientId":"` + s.id + `"}`)}}))
	r, err := c.Receive()
	require.NoError(t, err)
	var answer []bayeux.Message
	require.NoError(t, json.NewDecoder(r).Decode(&answer))
	require.Len(t, answer, 1)
	return answer[0].Error
}

// Of those who are waited for, neither kind takes the places of the other, and one
// more of either is not told why it has ended.
func TestKickedClientsTakeNoPlaceOfThoseThatALimitHasEnded(t *testing.T) {
	srv, err := New(WithTiming(Timing{Sweep: time.Hour}))
	require.NoError(t, err)
	defer srv.Close()
	kick := func() { s, _ := sessionOf(srv); s.Disconnect() }
	overflow := func() *Session {
		s, _ := sessionOf(srv)
		srv.endWith(s, beyond(limitSessionQueue, 1, "bytes"))
		return s
	}
	for range 2 { // once more when all have gone
		for range mostLimited + 10 {
			kick()
		}
		var all []*Session
		for range mostLimited + 10 {
			all = append(all, overflow())
		}
		assert.Equal(t, 2*mostLimited+10, len(srv.sessions.allParting()))
		for range mostKicked {
			kick()
		}
		assert.Equal(t, mostLimited+mostKicked, len(srv.sessions.allParting()))
		assert.Equal(t, "402::session_unknown", connectError(t, srv, all[mostLimited]), "the first beyond")
		assert.Equal(t, "402:session_queue,1:session_unknown", connectError(t, srv, all[mostLimited-1]), "the last within")
		srv.sweepParting(func(*Session) bool { return true })
		assert.Empty(t, srv.sessions.allParting())
	}
}
