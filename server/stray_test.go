package server_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
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

// moving is a client whose socket is busy with a slow call when it takes another
// connection: what it has sent over the socket behind the call comes afterwards.
func moving(t *testing.T, f func(t *testing.T, w *world, c *wire, sends func(rest ...string), ends func())) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		c.connect("2")
		c.expect(bayeux.MetaConnect, "2")
		c.ask(`{"channel":"/meta/subscribe","id":"3","clientId":"$","subscription":"/a"}`)
		c.hold("4")
		first, done := c.stream, make(chan struct{})
		w.HandleService("/service/slow", func(context.Context, *server.Session, *bayeux.Message) (any, error) {
			<-done
			return server.NoAnswer, nil
		})
		f(t, w, c, func(rest ...string) {
			c.stream = first
			c.send(append([]string{`{"channel":"/service/slow","id":"5","clientId":"$"}`}, rest...)...)
		}, func() {
			close(done)
			synctest.Wait()
		})
		first.Close(transport.Normal)
	})
}

// lives checks that c's session lives, and what it gets on the socket where its connect
// is held.
func (c *wire) lives(id string) {
	c.t.Helper()
	assert.True(c.t, c.w.Session(c.id).Holds(id))
	require.NoError(c.t, c.w.Publish(c.t.Context(), "/a", 1))
	assert.Equal(c.t, []string{"1"}, c.data(1))
	time.Sleep(19 * time.Second)
	assert.NotNil(c.t, c.w.Session(c.id), "its grace is over, but a connect is held")
	assert.Equal(c.t, bayeux.Succeeded, c.expect(bayeux.MetaConnect, id).Outcome)
}

// Neither it nor the connect that it dropped was ever answered, and the session expired
// under a client that waited.
func TestAConnectThatComesFromTheSocketBeforeLeavesTheHeldOneAlone(t *testing.T) {
	late := `{"channel":"/meta/connect","id":"6","clientId":"$"}`
	for name, frames := range map[string][][]string{"in the same payload": {{late}}, "in the next": {{}, {late}}} {
		t.Run(name, func(t *testing.T) {
			moving(t, func(t *testing.T, w *world, c *wire, sends func(...string), ends func()) {
				sends(frames[0]...)
				for _, more := range frames[1:] {
					c.send(more...)
				}
				c.stream = nil
				c.hold("7")
				ends()
				assert.Equal(t, bayeux.Succeeded, c.expect(bayeux.MetaConnect, "6").Outcome)
				c.lives("7")
			})
		})
	}
}

// What is still read from it does not take the session back: events would go to a socket
// that nobody reads.
func TestAMessageThatComesFromTheSocketBeforeLeavesTheSessionWhereItIs(t *testing.T) {
	moving(t, func(t *testing.T, w *world, c *wire, sends func(...string), ends func()) {
		first := c.stream
		sends()
		c.send(`{"channel":"/b","id":"6","clientId":"$","data":2}`)
		c.stream = nil
		c.hold("7")
		ends()
		assert.Equal(t, bayeux.Succeeded, c.expect("/b", "6").Outcome)
		first.Close(transport.Normal)
		c.lives("7")
	})
}

func TestWhatComesFromTheSocketBeforeLeavesThePollAlone(t *testing.T) {
	moving(t, func(t *testing.T, w *world, c *wire, sends func(...string), ends func()) {
		sends(`{"channel":"/meta/connect","id":"6","clientId":"$"}`)
		c.send(`{"channel":"/b","id":"6b","clientId":"$","data":2}`)
		poll := w.clientOn(bayeux.LongPolling)
		poll.id, poll.target = c.id, c.target
		poll.hold("7")
		ends()
		assert.Equal(t, bayeux.Succeeded, c.expect(bayeux.MetaConnect, "6").Outcome)
		assert.Equal(t, bayeux.Succeeded, c.expect("/b", "6b").Outcome)
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, []string{"1"}, poll.data(1))
		assert.Equal(t, bayeux.Succeeded, poll.expect(bayeux.MetaConnect, "7").Outcome)
	})
}

// A client may keep both, and go back to the one before.
func TestANewerConnectTakesTheSessionBackToTheSocketBefore(t *testing.T) {
	moving(t, func(t *testing.T, w *world, c *wire, sends func(...string), ends func()) {
		first := c.stream
		c.stream = nil
		c.hold("7")
		c.stream = first
		c.hold("8")
		c.lives("8")
		ends()
	})
}

// An extension may take its time to look at a connect, and its client another socket
// meanwhile.
func TestAConnectThatAnExtensionHoldsUpLeavesTheHeldOneAlone(t *testing.T) {
	var looks chan struct{}
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		looks = make(chan struct{})
		c := w.session("/a")
		first := c.stream
		c.connect("slow")
		c.stream = nil
		c.hold("7")
		close(looks)
		assert.Equal(t, bayeux.Succeeded, c.expect(bayeux.MetaConnect, "slow").Outcome)
		c.lives("7")
		first.Close(transport.Normal)
	}, server.WithExtension(server.Extension{Incoming: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		if m.ID == "slow" {
			<-looks
		}
		return nil
	}}))
}

// Back on the first of two sockets, the second is the one before.
func TestWhatComesFromTheSocketInBetweenLeavesTheSessionWhereItIs(t *testing.T) {
	moving(t, func(t *testing.T, w *world, c *wire, sends func(...string), ends func()) {
		first := c.stream
		c.stream = nil
		c.hold("7") // over a second socket
		second := c.stream
		c.stream = first
		c.hold("8") // newer: back on the first
		c.stream = second
		c.send(`{"channel":"/b","id":"7b","clientId":"$","data":2}`)
		synctest.Wait()
		c.stream = first
		second.Close(transport.Normal)
		synctest.Wait()
		c.lives("8")
		ends()
	})
}

// Between two polls nothing is held, and still the client polls.
func TestWhatComesFromTheSocketBeforeBetweenTwoPollsDoesNotTakeTheSession(t *testing.T) {
	for _, late := range []string{`{"channel":"/b","id":"6","clientId":"$","data":2}`, `{"channel":"/meta/connect","id":"6","clientId":"$"}`} {
		t.Run(late[12:25], func(t *testing.T) {
			moving(t, func(t *testing.T, w *world, c *wire, sends func(...string), ends func()) {
				sends()
				c.send(late)
				poll := w.clientOn(bayeux.LongPolling)
				poll.id, poll.target = c.id, c.target
				poll.hold("7")
				require.NoError(t, w.Publish(t.Context(), "/a", 1))
				assert.Equal(t, []string{"1"}, poll.data(1))
				assert.Equal(t, bayeux.Succeeded, poll.expect(bayeux.MetaConnect, "7").Outcome)
				ends() // between two polls
				require.NoError(t, w.Publish(t.Context(), "/a", 2))
				synctest.Wait()
				poll.connect("8")
				synctest.Wait()
				time.Sleep(21 * time.Second)
				var got []string
				for _, m := range poll.all() {
					got = append(got, fmt.Sprint(m.Channel, " ", string(m.Data)))
				}
				assert.Contains(t, got, "/a 2")
			})
		})
	}
}

// Nor does it where the newer socket has broken: its client will open another.
func TestWhatComesFromTheSocketBeforeDoesNotTakeTheSessionWhenTheNewerOneHasEnded(t *testing.T) {
	moving(t, func(t *testing.T, w *world, c *wire, sends func(...string), ends func()) {
		sends()
		c.send(`{"channel":"/b","id":"6","clientId":"$","data":2}`)
		c.stream = nil
		c.hold("7")
		c.stream.Close(transport.Normal)
		synctest.Wait()
		ends()
		require.NoError(t, w.Publish(t.Context(), "/a", 2))
		synctest.Wait()
		c.all()
		c.stream = nil
		c.connect("8")
		synctest.Wait()
		var got []string
		for _, m := range c.all() {
			got = append(got, fmt.Sprint(m.Channel, " ", string(m.Data)))
		}
		assert.Contains(t, got, "/a 2")
	})
}
