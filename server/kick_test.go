package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

func TestAClientThatWasKickedBetweenTwoPollsIsToldWhenItComes(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		s := w.Session(c.id)
		if w.polling() {
			w.fill(1)
			c.events(1)
			c.expect(bayeux.MetaConnect, "c2")
		} else {
			c.cut()
			c.eventually(func() bool { return w.Stats().Held == 0 })
		}
		w.fill(1000) // several answers
		s.Kick("enough")
		assert.Nil(t, w.Session(c.id))
		assert.Error(t, s.Context().Err())
		assert.Equal(t, "402::session_unknown", c.ask(`{"channel":"/a","id":"p","clientId":"$","data":1}`).Error)

		c.connect("c3")
		for i, m := range c.events(1000) {
			require.True(t, strings.HasPrefix(string(m.Data), fmt.Sprintf(`"%dx`, i)), "%d: %.20s", i, m.Data)
		}
		m := c.wait()
		for m.Channel == bayeux.MetaConnect && m.Advice.Reconnect == bayeux.Retry {
			c.connect("again")
			m = c.wait()
		}
		assert.Equal(t, `{"channel":"/meta/disconnect","successful":true,"ext":{"reason":"enough"}}`, encode(t, m))
		m = c.wait()
		assert.Equal(t, bayeux.MetaConnect, m.Channel)
		assert.Equal(t, &bayeux.Advice{Reconnect: bayeux.NoReconnect}, m.Advice)
		c.eventually(func() bool { return w.Stats().QueuedBytes == 0 })
		assert.Zero(t, w.Stats().Dropped)
		assert.Equal(t, "402::session_unknown", c.ask(`{"channel":"/meta/connect","id":"late","clientId":"$"}`).Error)
	})
}

func TestAKickWithMoreThanAFrameQueuedDeliversItAll(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		s := w.Session(c.id)
		s.Batch(func() {
			w.fill(1000)
			s.Disconnect()
		})
		assert.Len(t, c.events(1000), 1000)
		for m := c.wait(); m.Channel != bayeux.MetaDisconnect; m = c.wait() {
			c.connect("again")
		}
		assert.Equal(t, bayeux.NoReconnect, c.wait().Advice.Reconnect)
		assert.Zero(t, w.Stats().Dropped)
	})
}

func TestAKickedClientThatStaysAwayIsForgotten(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		away, busy := w.session("/a"), w.session()
		away.cut()
		busy.cut()
		w.fill(3)
		s := w.Session(away.id)
		s.Disconnect()
		w.Session(busy.id).Disconnect()
		assert.Zero(t, w.Stats().Sessions)
		assert.NotZero(t, w.Stats().QueuedBytes)
		time.Sleep(6 * time.Second)
		busy.ask(`{"channel":"/a","id":"p","clientId":"$","data":1}`) // is no sign that it will connect
		time.Sleep(6 * time.Second)
		assert.Zero(t, w.Stats().QueuedBytes)
		assert.EqualValues(t, 3, s.Outbox().Dropped())
		for _, c := range []*wire{away, busy} {
			assert.Equal(t, bayeux.HandshakeAgain, c.ask(`{"channel":"/meta/connect","id":"late","clientId":"$"}`).Advice.Reconnect)
		}
	})
}

func TestAKickIsToldWhereMessagesLeaveWithConnectsOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		s := w.Session(c.id)
		s.Batch(func() {
			w.fill(1000)
			s.Disconnect()
		})
		assert.Len(t, c.events(1000), 1000)
		for m := c.wait(); m.Channel != bayeux.MetaDisconnect; m = c.wait() {
			c.connect("again")
		}
		assert.Equal(t, bayeux.NoReconnect, c.wait().Advice.Reconnect)
	}, server.WithConnectOnly(), server.WithHandshakePerConnection())
}

// slowGoodbyes are extensions that take three seconds for the last answer to a
// client that was kicked.
func slowGoodbyes() server.Option {
	return server.WithExtension(server.Extension{Channels: []string{bayeux.MetaConnect}, Outgoing: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		if m.Advice != nil && m.Advice.Reconnect == bayeux.NoReconnect {
			time.Sleep(3 * time.Second)
		}
		return nil
	}})
}

// What was queued before a kick leaves with it, whatever happens while the answer is
// made: others look for what is left of sessions that have ended, and other
// exchanges of this one end.
func TestNothingTakesAwayWhatAKickIsToBring(t *testing.T) {
	goodbye := func(t *testing.T, w *world, c *wire, id string) {
		assert.Len(t, c.events(3), 3)
		assert.Equal(t, bayeux.MetaDisconnect, c.wait().Channel)
		assert.Equal(t, &bayeux.Advice{Reconnect: bayeux.NoReconnect}, c.expect(bayeux.MetaConnect, id).Advice)
		time.Sleep(2 * time.Second)
		assert.Zero(t, w.Stats().Dropped)
		assert.Zero(t, w.Stats().QueuedBytes)
		assert.Equal(t, "402::session_unknown", c.ask(`{"channel":"/meta/connect","id":"late","clientId":"$"}`).Error)
	}
	t.Run("held", func(t *testing.T) {
		synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
			w.HandleService("/service/slow", func(context.Context, *server.Session, *bayeux.Message) (any, error) {
				time.Sleep(time.Second)
				return server.NoAnswer, nil
			})
			c := w.session("/a")
			c.send(`{"channel":"/service/slow","id":"p","clientId":"$"}`)
			s := w.Session(c.id)
			s.Batch(func() {
				w.fill(3)
				s.Disconnect()
			})
			c.expect("/service/slow", "p")
			goodbye(t, w, c, "c2")
		}, slowGoodbyes())
	})
	t.Run("between two polls", func(t *testing.T) {
		synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
			c := w.session("/a")
			w.fill(1)
			c.expect(bayeux.MetaConnect, "c2")
			assert.Len(t, c.events(1), 1)
			w.settle() // until the server knows that it has been sent
			w.fill(3)
			w.Session(c.id).Disconnect()
			c.connect("c3")
			goodbye(t, w, c, "c3")
		}, slowGoodbyes())
	})
}

// A client whose poll breaks while it is answered with the kick gets all that with
// its next connect.
func TestAKickIsToldAgainWhereItsAnswerCouldNotBeSent(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c := w.session("/a")
		s := w.Session(c.id)
		go s.Batch(func() {
			w.fill(3)
			s.Kick("enough")
		})
		for _, id := range []string{"c3", "c4"} {
			time.Sleep(time.Second)
			c.cut()
			time.Sleep(4 * time.Second)
			assert.Empty(t, c.all())
			c.connect(id)
		}
		assert.Len(t, c.events(3), 3)
		assert.Equal(t, `{"channel":"/meta/disconnect","successful":true,"ext":{"reason":"enough"}}`, encode(t, c.wait()))
		assert.Equal(t, bayeux.NoReconnect, c.expect(bayeux.MetaConnect, "c4").Advice.Reconnect)
		assert.Zero(t, w.Stats().Dropped)
	}, slowGoodbyes())
}
