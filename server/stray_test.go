package server_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// A connect that was given up may arrive after the one that was sent in its place.
// Nobody reads its answer.
func TestAConnectThatWasOvertakenTakesNothingAlong(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		ask := func(id int) []string {
			c.send(fmt.Sprintf(`{"channel":"/meta/connect","id":"%d","clientId":"$","advice":{"timeout":0}}`, id))
			return texts(c.all())
		}
		require.NoError(t, w.Session(c.id).Subscribe("/a"))
		publish := func(data int) { require.NoError(t, w.Publish(t.Context(), "/a", data)) }
		for _, id := range []int{8, 9, 11} {
			ask(id)
		}
		publish(1)
		assert.Empty(t, ask(10))
		assert.Equal(t, []string{"1"}, ask(12))

		c.send(`{"channel":"/meta/connect","id":"13","clientId":"$"}`)
		c.eventually(func() bool { return w.Session(c.id).Holds("13") })
		assert.Empty(t, ask(10))
		assert.True(t, w.Session(c.id).Holds("13"), "it keeps its place")
		publish(2)
		assert.Equal(t, []string{"2"}, texts(c.all()))

		assert.Empty(t, ask(1), "a client that begins to count again")
		publish(3)
		assert.Equal(t, []string{"3"}, ask(2))
		publish(4)
		assert.Equal(t, []string{"4"}, ask(2), "a connect that is sent again")
	})
}

// What a stray says of what its client has, and where that is, is not so any more:
// extensions, which may believe it, do not see it.
func TestExtensionsDoNotSeeAConnectThatWasOvertaken(t *testing.T) {
	var seen []string
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		for _, id := range []string{"8", "9", "11", "10", "12"} {
			c.send(`{"channel":"/meta/connect","id":"` + id + `","clientId":"$","advice":{"timeout":0}}`)
			assert.Equal(t, bayeux.Succeeded, c.expect(bayeux.MetaConnect, id).Outcome)
		}
		assert.Equal(t, []string{"8", "9", "11", "12"}, seen)
		w.Session(c.id).Disconnect()
		c.send(`{"channel":"/meta/connect","id":"7","clientId":"$"}`)
		assert.Equal(t, "402::session_unknown", c.expect(bayeux.MetaConnect, "7").Error)
	}, server.WithExtension(server.Extension{Channels: []string{bayeux.MetaConnect}, Incoming: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		seen = append(seen, m.ID)
		return nil
	}}))
}

// Clients may give their messages what ids they like.
func TestConnectsWhoseIDsSayNothingAreAllServed(t *testing.T) {
	for name, ids := range map[string][]string{
		"the same": {"7", "7", "7", "7", "7"},
		"falling":  {"9", "8", "7", "6", "5"},
		"words":    {"a", "9", "b", "8", "c", "7"},
		"none":     {"", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
				c := w.client()
				c.handshake()
				require.NoError(t, w.Session(c.id).Subscribe("/a"))
				for i, id := range ids {
					require.NoError(t, w.Publish(t.Context(), "/a", i))
					if id != "" {
						id = `"id":"` + id + `",`
					}
					c.send(`{"channel":"/meta/connect",` + id + `"clientId":"$","advice":{"timeout":0}}`)
					assert.Equal(t, []string{fmt.Sprint(i)}, texts(c.all()))
				}
			})
		})
	}
}
