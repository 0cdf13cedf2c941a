package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

// stick makes c a client with a session on a stream that it does not read any
// more, while the server writes to it.
func stick(t *testing.T, w *world, channels ...string) (c *wire, stuck transport.Conn) {
	c = w.session(channels...)
	id := c.id
	conn, err := c.dialer.Dial(t.Context(), c.target)
	require.NoError(t, err)
	require.NoError(t, conn.Send(rawPayload(`[{"channel":"/meta/connect","id":"stuck","clientId":"`+id+`"}]`)))
	w.settle()
	c.stream.Close(transport.Normal)
	c.stream = nil
	for i := range 3 { // more than the 64 KiB that fit between the two ends
		require.NoError(t, w.Session(id).Send("/big", strings.Repeat(fmt.Sprint(i), 40_000)))
	}
	w.settle()
	return c, conn
}

func TestANewSocketFreesTheEventsThatAreStuckOnTheOldOne(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c, conn := stick(t, w)
		begin := time.Now()
		m := c.ask(`{"channel":"/meta/connect","id":"new","clientId":"$","advice":{"timeout":0}}`)
		assert.Equal(t, bayeux.Succeeded, m.Outcome)
		assert.Len(t, c.data(2), 2, "the first is with the old socket, which cannot say whether it was read")
		assert.Less(t, time.Since(begin), time.Second)
		conn.Close(transport.Normal)
	})
}

// A socket that is full has no room for a close frame.
func TestAClientWhoseSocketTookNothingIsToldTheLimitWhenItComesBack(t *testing.T) {
	for _, typ := range []string{bayeux.WebSocket, bayeux.LongPolling} {
		synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
			c, conn := stick(t, w)
			for s := w.Session(c.id); w.Session(c.id) != nil; {
				require.NoError(t, s.Send("/big", strings.Repeat("x", 40_000)))
			}
			w.settle()
			back := w.clientOn(typ)
			back.id, back.target = c.id, c.target
			m := back.ask(`{"channel":"/meta/connect","id":"back","clientId":"$"}`)
			assert.Equal(t, "402:session_queue,200000:session_unknown", m.Error)
			assert.Equal(t, bayeux.HandshakeAgain, m.Advice.Reconnect)
			assert.Empty(t, back.all(), "the rest went with the session")
			assert.Zero(t, w.Stats().QueuedBytes)
			m = back.ask(`{"channel":"/meta/connect","id":"again","clientId":"$"}`)
			assert.Equal(t, "402::session_unknown", m.Error, "it has been told")
			conn.Close(transport.Normal)
		}, server.WithLimits(server.Limits{SessionBytes: 200_000}))
	}
}

func TestASlowWriteDoesNotCountAgainstTheSession(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c, conn := stick(t, w)
		time.Sleep(time.Minute) // its connect is answered, but the answer is behind what is stuck
		require.NotNil(t, w.Session(c.id))
		for range 3 {
			_, err := conn.Receive()
			require.NoError(t, err)
		}
		w.settle()
		time.Sleep(12 * time.Second)
		assert.Nil(t, w.Session(c.id), "now the clock runs")
	})
}

func TestAKickWaitsForNobody(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c, conn := stick(t, w)
		for range 5 { // more than enough replies
			require.NoError(t, conn.Send(rawPayload(`[{"channel":"/a","id":"`+strings.Repeat("x", 900)+`","clientId":"`+c.id+`"}]`)))
		}
		begin := time.Now()
		w.Session(c.id).Disconnect()
		assert.Zero(t, time.Since(begin))
		assert.NotZero(t, w.Stats().QueuedBytes, "its last words wait for it")
		conn.Close(transport.Normal)
		w.settle()
		assert.Zero(t, w.Stats().QueuedBytes)
	})
}

func TestAStuckPeerDoesNotHoldUpClose(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		_, conn := stick(t, w)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, w.Shutdown(ctx), context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(begin))
		conn.Close(transport.Normal)
	})
}

func TestEveryKindOfEndGivesBackItsBytes(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for _, end := range []func(c *wire){
			func(c *wire) { w.Session(c.id).Disconnect(); time.Sleep(12 * time.Second) },
			func(c *wire) { time.Sleep(15 * time.Second) },
			func(c *wire) { w.Session(c.id).Expire(time.Now(), 0); w.settle() },
			func(c *wire) { c.send(`{"channel":"/meta/disconnect","id":"d","clientId":"$"}`) },
		} {
			c := w.session("/a")
			c.cut()
			for range 10 {
				require.NoError(t, w.Publish(t.Context(), "/a", 1))
			}
			require.NotZero(t, w.Stats().QueuedBytes)
			end(c)
			assert.Zero(t, w.Stats().QueuedBytes)
			assert.Zero(t, w.Stats().Sessions)
			c.cut()
		}
	})
}

func TestASessionOfManyUsersInTurnBelongsToTheLast(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session()
		s := w.Session(c.id)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { s.SetUser(fmt.Sprint("user", i)) })
		}
		wg.Wait()
		n := 0
		for i := range 10 {
			for range w.UserSessions(fmt.Sprint("user", i)) {
				n++
			}
		}
		assert.Equal(t, 1, n)
		s.Disconnect()
		s.SetUser("late")
		for range w.UserSessions("late") {
			assert.Fail(t, "a session that has ended is nobody's")
		}
	})
}

func TestAClientThatAsksManyThingsAtOnceByPollingGetsThemInOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var seen []string
		running := 0
		w.Handle("/a", func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			mu.Lock()
			running++
			assert.Equal(t, 1, running, "one payload of a session at a time")
			mu.Unlock()
			seen = append(seen, string(m.Data))
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		})
		c := w.session()
		for i := range 20 {
			c.send(fmt.Sprintf(`{"channel":"/a","id":"%d","clientId":"$","data":%d}`, i, i))
		}
		for i := range 20 {
			c.expect("/a", fmt.Sprint(i))
		}
		assert.Len(t, seen, 20)
	})
}

func TestOneSlowPublisherOfPollingDoesNotStopItsConnect(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.HandleService("/service/slow", func(context.Context, *server.Session, *bayeux.Message) (any, error) {
			time.Sleep(9 * time.Second)
			return server.NoAnswer, nil
		})
		c := w.session("/a")
		c.send(`{"channel":"/service/slow","id":"slow","clientId":"$"}`)
		begin := time.Now()
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, []string{"1"}, c.data(1))
		assert.Less(t, time.Since(begin), time.Second)
		c.expect("/service/slow", "slow")
	})
}
