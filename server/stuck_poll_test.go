package server_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A slowAnswer is an exchange whose answers with events do not leave before
// free is closed, as when the client reads nothing.
type slowAnswer struct {
	transport.Conn
	free <-chan struct{}
}

func (c slowAnswer) Send(p *transport.Payload) error {
	if p.Kind == transport.Connect && len(p.Messages) > 1 {
		select {
		case <-c.free:
		case <-c.Context().Done():
			return transport.ErrClosed
		}
	}
	return c.Conn.Send(p)
}

// stuckPoll makes a client with a session on polling, whose connect the server
// answers with an event that does not get through before free is closed.
func stuckPoll(w *world) (c *wire, free chan struct{}) {
	free = make(chan struct{})
	c = w.client()
	c.dialer = memory.NewPollDialer(func(conn transport.Conn) { w.ServeConn(slowAnswer{conn, free}) })
	c.handshake()
	c.begin("/a")
	require.NoError(w.t, w.Publish(w.t.Context(), "/a", 1))
	w.settle()
	return c, free
}

func TestASlowAnswerDoesNotCountAgainstTheSession(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c, free := stuckPoll(w)
		time.Sleep(time.Minute)
		require.NotNil(t, w.Session(c.id))
		close(free)
		w.settle()
		assert.Equal(t, []string{"1"}, c.data(1))
		time.Sleep(9 * time.Second)
		assert.NotNil(t, w.Session(c.id), "the clock runs from the answer")
		time.Sleep(3 * time.Second)
		assert.Nil(t, w.Session(c.id))
	})
}

func TestWhatWaitsBehindASlowAnswerLeavesInOrder(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c, free := stuckPoll(w)
		for i := range 5 {
			require.NoError(t, w.Publish(t.Context(), "/a", i+2))
		}
		assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/b","id":"p","clientId":"$","data":1}`).Outcome, "others are answered")
		assert.Empty(t, c.all())
		close(free)
		assert.Equal(t, []string{"1", "2", "3", "4", "5", "6"}, c.data(6))
	})
}

func TestASlowAnswerDoesNotHoldUpClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bayeux.LongPolling)
		stuckPoll(w)
		begin := time.Now()
		require.NoError(t, w.Close())
		assert.Zero(t, time.Since(begin))
		w.end()
	})
}

func TestASlowAnswerHoldsUpAShutdownNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bayeux.LongPolling)
		stuckPoll(w)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.Shutdown(ctx)
		assert.LessOrEqual(t, time.Since(begin), time.Second)
		w.end()
	})
}

func TestAKickOverPollingWaitsForNobody(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		free := make(chan struct{})
		c := w.client()
		c.dialer = memory.NewPollDialer(func(conn transport.Conn) { w.ServeConn(slowAnswer{conn, free}) })
		c.handshake()
		c.begin("/a")
		begin := time.Now()
		w.Session(c.id).Disconnect()
		assert.Zero(t, time.Since(begin))
		close(free)
		assert.Equal(t, bayeux.NoReconnect, c.expect(bayeux.MetaConnect, "c2").Advice.Reconnect)
	})
}
