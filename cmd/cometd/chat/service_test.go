package chat

import (
	"context"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

// serve runs rooms on a server of its own, and returns what connects to it.
func serve(t *testing.T) (dial func() *client.Client) {
	t.Helper()
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	web := httptest.NewServer(srv)
	rooms := Open(srv)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { rooms.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		srv.Close()
		web.Close()
	})
	return func() *client.Client {
		c, err := cometd.Dial(t.Context(), web.URL)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
}

func enter(t *testing.T, c *client.Client, room, name string) []entry {
	t.Helper()
	got, err := client.Call[joined](t.Context(), c, joinPath, join{Room: room, ID: "id-" + name, Name: name})
	require.NoError(t, err)
	return got.History
}

// await reads announcements of who is in the room until they are these people.
func await(t *testing.T, sub *client.Subscription, want ...Person) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var last present
	for now, err := range client.Values[present](ctx, sub) {
		require.NoError(t, err, "last seen: %v", last)
		if last = now; assert.ObjectsAreEqual(want, now.People) {
			assert.Equal(t, len(want), now.Total)
			return
		}
	}
	t.Fatalf("never announced %v, last %v", want, last)
}

// Who enters is announced to all in the room; so is who goes, by leaving the
// room, by leaving altogether, or under another name.
func TestPresenceFollowsSessions(t *testing.T) {
	dial := serve(t)
	ada, grace := dial(), dial()
	sub, err := ada.Subscribe(t.Context(), "/presence/lobby")
	require.NoError(t, err)

	enter(t, ada, "lobby", "Ada")
	await(t, sub, Person{"id-Ada", "Ada", "websocket"})
	chat, err := grace.Subscribe(t.Context(), "/chat/lobby")
	require.NoError(t, err)
	enter(t, grace, "lobby", "Grace")
	await(t, sub, Person{"id-Ada", "Ada", "websocket"}, Person{"id-Grace", "Grace", "websocket"})
	require.NoError(t, chat.Unsubscribe(t.Context()))
	await(t, sub, Person{"id-Ada", "Ada", "websocket"})
	enter(t, grace, "lobby", "Hopper")
	await(t, sub, Person{"id-Ada", "Ada", "websocket"}, Person{"id-Hopper", "Hopper", "websocket"})
	grace.Close()
	await(t, sub, Person{"id-Ada", "Ada", "websocket"})
}

// What was said is told to who comes later, as it was said.
func TestHistoryIsToldOnEntering(t *testing.T) {
	dial := serve(t)
	c := dial()
	for _, data := range []any{"first", map[string]int{"price": 12}, nil} {
		require.NoError(t, c.Publish(t.Context(), "/chat/lobby", data))
	}
	require.NoError(t, c.Publish(t.Context(), "/chat/elsewhere", "not here"))
	require.NoError(t, c.Publish(t.Context(), "/chat/Not-A-Room", "kept nowhere"))
	var said []string
	for _, e := range enter(t, dial(), "lobby", "Ada") {
		said = append(said, string(e.Data))
		assert.WithinDuration(t, time.Now(), time.UnixMilli(e.At), time.Minute)
	}
	assert.Equal(t, []string{`"first"`, `{"price":12}`, `null`}, said)
	assert.Empty(t, enter(t, dial(), "empty", "Ada"))
}

// Only the server says who is there.
func TestPresenceCannotBeForged(t *testing.T) {
	c := serve(t)()
	for _, ch := range []string{"/presence", "/presence/lobby", "/presence/lobby/x"} {
		assert.ErrorIs(t, c.Publish(t.Context(), ch, present{}), bayeux.ErrDenied, ch)
	}
}

// What a client gets that wants to be in more rooms than one may.
func TestARoomTooManyIsRefusedWith429(t *testing.T) {
	c := serve(t)()
	for i := range roomsEach {
		enter(t, c, "room-"+strconv.Itoa(i), "Ada")
	}
	_, err := client.Call[joined](t.Context(), c, joinPath, join{Room: "one-more", ID: "id-Ada", Name: "Ada"})
	var refused *bayeux.Error
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "429::too_many_rooms", refused.Wire())
}

func TestEnteringIsRefusedWithoutAName(t *testing.T) {
	c := serve(t)()
	for want, j := range map[string]join{
		"room_invalid": {Room: "No Room", ID: "1", Name: "Ada"},
		"name_invalid": {Room: "lobby", ID: "1", Name: " \n "},
	} {
		_, err := client.Call[joined](t.Context(), c, joinPath, j)
		assert.ErrorContains(t, err, want)
	}
}
