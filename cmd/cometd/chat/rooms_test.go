package chat

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/server"
)

func newRooms(t *testing.T) *Rooms {
	srv, err := server.New()
	require.NoError(t, err)
	t.Cleanup(func() { srv.Close() })
	return Open(srv)
}

// A page that came back has two sessions until the old one expires, and is one
// person all the while.
func TestPersonWithTwoSessionsIsOne(t *testing.T) {
	r := newRooms(t)
	require.True(t, r.enter("lobby", "session1", Person{ID: "p1", Name: "Ada"}))
	require.True(t, r.enter("lobby", "session2", Person{ID: "p1", Name: "Ada"}))
	require.True(t, r.enter("lobby", "session3", Person{ID: "p2", Name: "Grace"}))
	now := r.changes()["lobby"]
	assert.Equal(t, 2, now.Total)
	assert.Equal(t, []Person{{ID: "p1", Name: "Ada"}, {ID: "p2", Name: "Grace"}}, now.People)

	r.leave("session1")
	assert.Equal(t, 2, r.changes()["lobby"].Total)
	r.leave("session2")
	assert.Equal(t, 1, r.changes()["lobby"].Total)
	assert.Empty(t, r.changes())
}

func TestUnsubscribingFromARoomLeavesIt(t *testing.T) {
	r := newRooms(t)
	for _, room := range []string{"one", "two"} {
		require.True(t, r.enter(room, "session1", Person{ID: "p1", Name: "Ada"}))
	}
	r.leave("session1", "/presence/two", "/chat/one")
	assert.Equal(t, []listing{{"two", 1}}, r.list())
	r.leave("session1")
	assert.Empty(t, r.list())
}

func TestSessionIsInFewRooms(t *testing.T) {
	r := newRooms(t)
	p := Person{ID: "p1", Name: "Ada"}
	for i := range roomsEach {
		require.True(t, r.enter(fmt.Sprint(i), "session1", p))
	}
	assert.False(t, r.enter("one-more", "session1", p))
	assert.True(t, r.enter("0", "session1", p)) // it is there already
	assert.True(t, r.enter("one-more", "session2", p))
}

// Whoever publishes to many rooms makes the server forget empty ones only.
func TestEmptyRoomsAreForgottenFirst(t *testing.T) {
	r := newRooms(t)
	require.True(t, r.enter("lobby", "session1", Person{ID: "p1", Name: "Ada"}))
	for i := range 3 * maxRooms {
		r.mu.Lock()
		require.NotNil(t, r.room(fmt.Sprint(i)))
		r.mu.Unlock()
	}
	assert.Len(t, r.rooms, maxRooms)
	assert.Contains(t, r.rooms, "lobby")
	assert.Contains(t, r.rooms, fmt.Sprint(3*maxRooms-1))
	assert.NotContains(t, r.rooms, "0")
}

func TestNoRoomIsMadeWhileAllAreFull(t *testing.T) {
	r := newRooms(t)
	for i := range maxRooms {
		require.True(t, r.enter(fmt.Sprint(i), fmt.Sprint(i), Person{ID: "p"}))
	}
	assert.False(t, r.enter("one-more", "session", Person{ID: "p"}))
}
