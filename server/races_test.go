package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

// A timer for lazy messages fires while the last urgent one is stuck on a
// socket: on the next socket it must not wait for the end of the connect.
func TestALateLazyTimerDoesNotForgetWhatIsStuck(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session("/lazy")
		id := c.id
		conn, err := c.dialer.Dial(t.Context(), c.target)
		require.NoError(t, err)
		require.NoError(t, conn.Send(rawPayload(`[{"channel":"/meta/connect","id":"stuck","clientId":"`+id+`"}]`)))
		c.eventually(func() bool { return w.Session(id).Holds("stuck") })
		c.stream.Close(transport.Normal)
		c.stream = nil
		require.NoError(t, w.Publish(t.Context(), "/lazy", 1))
		require.NoError(t, w.Session(id).Send("/big", strings.Repeat("x", 200_000)))
		time.Sleep(6 * time.Second)
		conn.Close(transport.Normal)
		c.hold("back")
		begin := time.Now()
		assert.Equal(t, "/big", c.events(1)[0].Channel)
		assert.Less(t, time.Since(begin), time.Second)
	}, server.WithChannel("/lazy", server.ChannelOptions{Lazy: 5 * time.Second}))
}

func TestPollingFreesTheEventsThatAreStuckOnASocket(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c, conn := stick(t, w)
		poll := w.clientOn(bayeux.LongPolling)
		poll.id, poll.target = c.id, c.target
		begin := time.Now()
		poll.connect("p1")
		assert.Len(t, poll.data(2), 2, "the first is with the socket, which cannot say whether it was read")
		assert.Less(t, time.Since(begin), time.Second)
		conn.Close(transport.Normal)
	}, server.WithTrustedSessionIDs())
}

// Nothing orders the answers of two requests, so what is answered at once must
// not overtake what left a moment ago.
func TestAConnectThatIsNotHeldTakesNothingThatCouldOvertake(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.send(`{"channel":"/meta/connect","id":"c3","clientId":"$","advice":{"timeout":0}}`) // replaces the held one
		c.expect(bayeux.MetaConnect, "c3")
		c.send(`{"channel":"/a","id":"p","clientId":"$","data":1}`)
		assert.Equal(t, []string{"1"}, texts(c.all()))
		require.NoError(t, w.Publish(t.Context(), "/a", 2))
		c.send(`{"channel":"/meta/connect","id":"c4","clientId":"$","advice":{"timeout":0}}`)
		assert.Empty(t, texts(c.all()))
		time.Sleep(100 * time.Millisecond)
		c.send(`{"channel":"/meta/connect","id":"c5","clientId":"$","advice":{"timeout":0}}`)
		assert.Equal(t, []string{"2"}, texts(c.all()))
	})
}

// What others published would otherwise be on its way with both kinds of answers,
// all the time, and the network may keep one of them for longer than anybody
// waits.
func TestOnlyItsOwnMessagesRideOnAnAnswerThatIsNoConnects(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.send(`{"channel":"/meta/connect","id":"c3","clientId":"$","advice":{"timeout":0}}`) // nothing is held now
		c.expect(bayeux.MetaConnect, "c3")
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		c.send(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/b"}`)
		assert.Empty(t, texts(c.all()))
		c.send(`{"channel":"/meta/connect","id":"c4","clientId":"$","advice":{"timeout":0}}`)
		assert.Equal(t, []string{"1"}, texts(c.all()))
		require.NoError(t, w.Publish(t.Context(), "/a", 2))
		c.send(`{"channel":"/a","id":"p","clientId":"$","data":3}`)
		assert.Empty(t, texts(c.all()), "the connect's answer may not have been read")
		c.send(`{"channel":"/meta/connect","id":"c5","clientId":"$","advice":{"timeout":0}}`)
		assert.Equal(t, []string{"2", "3"}, texts(c.all()))
		c.send(`{"channel":"/meta/connect","id":"c6","clientId":"$","advice":{"timeout":0}}`)
		assert.Empty(t, texts(c.all()))
		c.send(`{"channel":"/a","id":"q","clientId":"$","data":4}`)
		assert.Equal(t, []string{"4"}, texts(c.all()), "its own")
	})
}

// A handler that publishes with its context, or sends, answers the client that asked.
func TestWhatAHandlerBringsItsClientRidesOnTheAnswer(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		w.Handle("/start", func(ctx context.Context, _ *server.Session, _ *bayeux.Message) error {
			return w.Publish(ctx, "/a", 1)
		})
		w.Handle("/service/start", func(_ context.Context, s *server.Session, _ *bayeux.Message) error {
			return s.Send("/service/start", 2)
		})
		c := w.session("/a")
		c.send(`{"channel":"/meta/connect","id":"c3","clientId":"$","advice":{"timeout":0}}`)
		c.expect(bayeux.MetaConnect, "c3")
		c.send(`{"channel":"/meta/connect","id":"c4","clientId":"$","advice":{"timeout":0}}`) // shows that c3's answer was read
		c.expect(bayeux.MetaConnect, "c4")
		c.send(`{"channel":"/start","id":"1","clientId":"$","data":0}`)
		assert.Equal(t, []string{"1"}, texts(c.all()))
		c.send(`{"channel":"/service/start","id":"2","clientId":"$","data":0}`)
		assert.Equal(t, []string{"2"}, texts(c.all()))
	})
}

func TestATimingOfItsOwnKeepsThatOfTheTransportForTheRest(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session()
		w.Session(c.id).SetTiming(server.Timing{Lazy: time.Second})
		c.cut()
		time.Sleep(30 * time.Second)
		assert.NotNil(t, w.Session(c.id))
	}, server.WithTransportTiming(bayeux.WebSocket, server.Timing{MaxInterval: time.Minute}),
		server.WithTransportTiming(bayeux.LongPolling, server.Timing{MaxInterval: time.Minute}))
}
