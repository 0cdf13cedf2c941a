package server_test

import (
	"bytes"
	"context"
	"slices"
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

// A slowReply is a Conn on which what has a text in it does not leave before free is
// closed.
type slowReply struct {
	transport.Conn
	text string
	free <-chan struct{}
}

func (c slowReply) Send(p *transport.Payload) error {
	if slices.ContainsFunc(p.Messages, func(m []byte) bool { return bytes.Contains(m, []byte(c.text)) }) {
		select {
		case <-c.free:
		case <-c.Context().Done():
			return transport.ErrClosed
		}
	}
	return c.Conn.Send(p)
}

// slowly has the server's replies to the messages of some ids leave once their
// channels are closed.
func (c *wire) slowly(free map[string]chan struct{}) {
	serve := func(conn transport.Conn) {
		for id, free := range free {
			conn = slowReply{conn, `"id":"` + id + `"`, free}
		}
		c.w.ServeConn(conn)
	}
	c.dialer = memory.NewDialer(serve)
	if c.w.polling() {
		c.dialer = memory.NewPollDialer(serve)
	}
}

// expiresFromNow reports that the session is gone in ten seconds, and not before.
func (c *wire) expiresFromNow(t *testing.T) {
	t.Helper()
	time.Sleep(9 * time.Second)
	assert.NotNil(t, c.w.Session(c.id), "the clock runs from the answer")
	time.Sleep(3 * time.Second)
	assert.Nil(t, c.w.Session(c.id))
}

// goesElsewhere has c send what follows over another connection; end ends the one before,
// if that is a stream.
func (c *wire) goesElsewhere() (end func()) {
	old := c.stream
	c.stream = nil
	return func() {
		if old != nil {
			old.Close(transport.GoingAway)
		}
	}
}

func TestAPublishWhileAnAnswerIsSlowDoesNotCountAgainstTheSession(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c, free := stuckPoll(w)
		assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/b","id":"p","clientId":"$","data":1}`).Outcome)
		time.Sleep(time.Minute)
		require.NotNil(t, w.Session(c.id))
		close(free)
		w.settle()
		assert.Equal(t, []string{"1"}, c.data(1))
	})
}

// The connection of the connect before it, which this one has taken the place of, ends
// while the answer is written.
func TestTheEndOfAnOlderConnectionWhileAnAnswerIsSlowDoesNotCountAgainstTheSession(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c, free := w.client(), make(chan struct{})
		c.slowly(map[string]chan struct{}{"slow": free})
		c.handshake()
		c.begin()
		endOld := c.goesElsewhere()
		c.send(`{"channel":"/meta/connect","id":"slow","clientId":"$","advice":{"timeout":0}}`)
		endOld()
		time.Sleep(time.Minute)
		require.NotNil(t, w.Session(c.id))
		close(free)
		c.expect(bayeux.MetaConnect, "slow")
		c.expiresFromNow(t)
	})
}

// So it is with an older answer that nobody reads, and with an older connect whose answer
// is through only now.
func TestTheEndOfAnOlderAnswerWhileANewerIsSlowDoesNotCountAgainstTheSession(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c, older, newer := w.client(), make(chan struct{}), make(chan struct{})
		c.slowly(map[string]chan struct{}{"older": older, "newer": newer})
		c.handshake()
		c.begin()
		c.send(`{"channel":"/meta/connect","id":"older","clientId":"$","advice":{"timeout":0}}`)
		endOld := c.goesElsewhere()
		c.send(`{"channel":"/meta/connect","id":"newer","clientId":"$","advice":{"timeout":0}}`)
		close(older)
		endOld()
		time.Sleep(time.Minute)
		require.NotNil(t, w.Session(c.id))
		close(newer)
		c.expect(bayeux.MetaConnect, "newer")
		c.expiresFromNow(t)
	})
}

// The clock of a client that has read the answer to its last connect runs, whatever an
// older connection of its takes.
func TestAnOlderAnswerThatNobodyReadsDoesNotKeepASession(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.client()
		c.slowly(map[string]chan struct{}{"older": make(chan struct{})})
		c.handshake()
		c.begin()
		c.send(`{"channel":"/meta/connect","id":"older","clientId":"$","advice":{"timeout":0}}`)
		endOld := c.goesElsewhere()
		assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/meta/connect","id":"newer","clientId":"$","advice":{"timeout":0}}`).Outcome)
		c.expiresFromNow(t)
		endOld()
	})
}

// Nor that of one whose newer connect is held no more, because its connection has ended.
func TestAnOlderAnswerThatNobodyReadsDoesNotKeepASessionWhoseClientHasGone(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.client()
		c.slowly(map[string]chan struct{}{"older": make(chan struct{})})
		c.handshake()
		c.begin()
		c.send(`{"channel":"/meta/connect","id":"older","clientId":"$","advice":{"timeout":0}}`)
		endOld := c.goesElsewhere()
		c.hold("newer")
		if c.stream != nil {
			c.stream.Close(transport.Normal)
		} else {
			c.polls[len(c.polls)-1].Close(transport.Normal)
		}
		w.settle()
		c.expiresFromNow(t)
		endOld()
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
