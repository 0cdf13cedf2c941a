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
	require.NoError(t, r.enter("lobby", "session1", Person{ID: "p1", Name: "Ada"}))
	require.NoError(t, r.enter("lobby", "session2", Person{ID: "p1", Name: "Ada"}))
	require.NoError(t, r.enter("lobby", "session3", Person{ID: "p2", Name: "Grace"}))
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
		require.NoError(t, r.enter(room, "session1", Person{ID: "p1", Name: "Ada"}))
	}
	r.leave("session1", "/presence/two", "/chat/one")
	r.changes()
	assert.Equal(t, []listing{{"two", 1}}, r.list())
	r.leave("session1")
	r.changes()
	assert.Empty(t, r.list())
}

func TestSessionIsInFewRooms(t *testing.T) {
	r := newRooms(t)
	p := Person{ID: "p1", Name: "Ada"}
	for i := range roomsEach {
		require.NoError(t, r.enter(fmt.Sprint(i), "session1", p))
	}
	assert.ErrorContains(t, r.enter("one-more", "session1", p), "too_many_rooms")
	assert.NoError(t, r.enter("0", "session1", p)) // it is there already
	assert.NoError(t, r.enter("one-more", "session2", p))
}

// Whoever publishes to many rooms makes the server forget empty ones only.
func TestEmptyRoomsAreForgottenFirst(t *testing.T) {
	r := newRooms(t)
	require.NoError(t, r.enter("lobby", "session1", Person{ID: "p1", Name: "Ada"}))
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
		require.NoError(t, r.enter(fmt.Sprint(i), fmt.Sprint(i), Person{ID: "p"}))
	}
	assert.ErrorContains(t, r.enter("one-more", "session", Person{ID: "p"}), "too_many_rooms")
}

func TestARoomIsFullAtItsLimit(t *testing.T) {
	r := newRooms(t)
	for i := range maxPeople {
		require.NoError(t, r.enter("lobby", fmt.Sprint(i), Person{ID: fmt.Sprint(i)}))
	}
	assert.ErrorContains(t, r.enter("lobby", "session", Person{ID: "p"}), "room_full")
	assert.NoError(t, r.enter("lobby", "0", Person{ID: "0", Name: "Ada"}), "who is in it may have another name")
	now := r.changes()["lobby"]
	assert.Equal(t, maxPeople, now.Total)
	assert.Len(t, now.People, maxListed)
}
