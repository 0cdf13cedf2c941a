package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

func TestPublishedMessagesReachSubscribersInOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, b := w.session("/chat/*"), w.session("/chat/room")
		for i := range 200 {
			require.NoError(t, w.Publish(t.Context(), "/chat/room", i))
		}
		for _, c := range []*wire{a, b} {
			for i, m := range c.events(200) {
				require.Equal(t, fmt.Sprint(i), string(m.Data))
				require.Equal(t, "/chat/room", m.Channel)
			}
		}
	})
}

func TestASessionGetsOneCopyHoweverManyOfItsPatternsMatch(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c, other := w.session("/**", "/a/**", "/a/*", "/a/b"), w.session("/a/b")
		for i := range 10 {
			require.NoError(t, w.Publish(t.Context(), "/a/b", i))
		}
		assert.Len(t, c.events(10), 10)
		assert.Len(t, other.events(10), 10)
		c.quiet()
	})
}

func TestPublishIsAcknowledgedAndStripsIDAndClientID(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, b := w.session("/chat"), w.session()
		b.send(`{"channel":"/chat","id":"p1","clientId":"$","data":{"x":null}}`)
		ack := b.expect("/chat", "p1")
		assert.Equal(t, bayeux.Succeeded, ack.Outcome)
		got := a.events(1)[0]
		assert.Equal(t, `{"channel":"/chat","data":{"x":null}}`, encode(t, got))
	})
}

func TestASocketLostWithItsConnectHeldLosesNothingWithinTheGrace(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.cut()
		for i := range 5 {
			require.NoError(t, w.Publish(t.Context(), "/a", i))
		}
		time.Sleep(9 * time.Second)
		c.connect("back")
		for i, m := range c.events(5) {
			assert.Equal(t, fmt.Sprint(i), string(m.Data))
		}
	})
}

func TestASessionExpiresAfterItsGrace(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.cut()
		time.Sleep(12 * time.Second)
		assert.Zero(t, w.Stats().Sessions)
		c.connect("back")
		m := c.expect(bayeux.MetaConnect, "back")
		assert.Equal(t, "402::session_unknown", m.Error)
		assert.Equal(t, bayeux.HandshakeAgain, m.Advice.Reconnect)
	})
}

func TestAHeldConnectIsAnsweredAtItsTimeout(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		begin := time.Now()
		m := c.expect(bayeux.MetaConnect, "c2")
		assert.Equal(t, 20*time.Second, time.Since(begin))
		assert.Nil(t, m.Advice)
	})
}

func TestOwnMessagesComeBeforeTheAcknowledgement(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		c.connect("c1")
		c.expect(bayeux.MetaConnect, "c1")
		c.send(`{"channel":"/meta/subscribe","id":"1","clientId":"$","subscription":"/foo"}`,
			`{"channel":"/foo","id":"2","clientId":"$","data":1}`)
		var got []string
		for _, m := range c.all() {
			got = append(got, encode(t, m))
		}
		assert.Equal(t, []string{
			`{"channel":"/foo","data":1}`,
			`{"channel":"/meta/subscribe","id":"1","successful":true,"subscription":"/foo"}`,
			`{"channel":"/foo","id":"2","successful":true}`,
		}, got)
	})
}

func TestAKickedClientIsToldOnBothMessages(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session()
		w.Session(c.id).Disconnect()
		d := c.next()
		require.NotNil(t, d)
		assert.Equal(t, `{"channel":"/meta/disconnect","successful":true}`, encode(t, d))
		m := c.next()
		require.NotNil(t, m)
		assert.Equal(t, bayeux.NoReconnect, m.Advice.Reconnect)
	})
}

func TestAFullOutboxEndsOnlyItsOwnSession(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		slow, well := w.session("/a"), w.session("/a")
		slow.cut()
		for i := range 10 {
			require.NoError(t, w.Publish(t.Context(), "/a", i))
			well.events(1)
		}
		assert.Nil(t, w.Session(slow.id))
		assert.NotNil(t, w.Session(well.id))
	}, server.WithLimits(server.Limits{SessionMessages: 5}))
}

func TestDisconnectAnswersTheHeldConnect(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session()
		c.send(`{"channel":"/meta/disconnect","id":"d","clientId":"$"}`)
		replies := map[string]*bayeux.Message{}
		for _, m := range c.all() {
			replies[m.ID] = m
		}
		require.Len(t, replies, 2)
		assert.Equal(t, bayeux.Succeeded, replies["d"].Outcome)
		assert.Equal(t, bayeux.NoReconnect, replies["c2"].Advice.Reconnect)
	})
}

func encode(t *testing.T, m *bayeux.Message) string {
	text, err := m.MarshalJSON()
	require.NoError(t, err)
	return string(text)
}
