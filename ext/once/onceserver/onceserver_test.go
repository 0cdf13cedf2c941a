package onceserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/once"
	"github.com/gocometd/cometd/ext/once/onceserver"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A world is a server that counts what it takes on /orders, in fake time.
type world struct {
	*server.Server
	t     *testing.T
	taken map[string]int
}

func within(t *testing.T, f func(w *world), opts ...server.Option) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := server.New(opts...)
		require.NoError(t, err)
		w := &world{srv, t, map[string]int{}}
		srv.Handle("/orders", func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			w.taken[string(m.Data)]++
			if strings.HasPrefix(string(m.Data), `"no`) {
				return bayeux.Errorf(409, "sold_out")
			}
			return nil
		})
		f(w)
		srv.Close()
	})
}

// dial makes a client whose publishes have the keys that key says.
func (w *world) dial(key func(m *bayeux.Message) once.Key) *client.Client {
	x := client.Extension{Requests: []string{"/orders"}, Outgoing: func(_ context.Context, m *bayeux.Message) error {
		return m.Ext.Set(once.Name, key(m))
	}}
	c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(w.ServeConn)), client.WithExtension(x))
	require.NoError(w.t, err)
	require.NoError(w.t, c.Wait(w.t.Context()))
	return c
}

// of is the key of a client's publish of that data.
func of(name string) func(m *bayeux.Message) once.Key {
	return func(m *bayeux.Message) once.Key { return once.Key{Client: name, ID: strings.Trim(string(m.Data), `"`)} }
}

func publish(c *client.Client, data string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := c.Publish(ctx, "/orders", data)
	if e, ok := errors.AsType[*bayeux.Error](err); ok {
		return e.Wire()
	}
	return fmt.Sprint(err)
}

// Another extension may delete the reply to the first one.
func TestAReplyThatNeverComesHoldsUpNobodyForEver(t *testing.T) {
	var deleting atomic.Bool
	deleting.Store(true)
	silent := server.Extension{Channels: []string{"/orders"}, Outgoing: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		if deleting.Load() && m.Outcome != bayeux.NoOutcome {
			return errors.New("not for you")
		}
		return nil
	}}
	within(t, func(w *world) {
		c, other := w.dial(of("one")), w.dial(of("one"))
		begin := time.Now()
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		assert.Error(t, c.Publish(ctx, "/orders", "1"))
		cancel()
		deleting.Store(false)
		assert.Equal(t, "409::once_unanswered", publish(c, "1"))
		assert.Equal(t, "<nil>", publish(c, "2"), "the session goes on")
		assert.Less(t, time.Since(begin), 15*time.Second)
		c.Close()
		assert.Equal(t, "409::once_unanswered", publish(other, "1"), "nor does the client's other session wait for one that ended")
		assert.Equal(t, "<nil>", publish(other, "2"))
		assert.Equal(t, map[string]int{`"1"`: 1, `"2"`: 1}, w.taken)
		other.Close()
	}, server.WithExtension(onceserver.New(), silent))
}

// With a history replies are made when a payload's last message is there.
func TestOneKeyTwiceInAPayloadIsTakenOnce(t *testing.T) {
	store := replayserver.NewMemory(replayserver.Rule{Pattern: "/**", Messages: 10})
	history, err := replayserver.New(store)
	require.NoError(t, err)
	within(t, func(w *world) {
		c := w.dial(func(*bayeux.Message) once.Key { return once.Key{Client: "one", ID: "same"} })
		b := c.Batch()
		b.Publish("/orders", "1")
		b.Publish("/orders", "1")
		assert.ErrorContains(t, b.Send(w.t.Context()), "once_unanswered")
		assert.Equal(t, "<nil>", publish(c, "1"))
		assert.Equal(t, map[string]int{`"1"`: 1}, w.taken)
		c.Close()
	}, server.WithExtension(onceserver.New()), history)
}

// A raw client says what it is told, in a session of its own.
type raw struct {
	w    *world
	d    transport.Dialer
	to   *transport.Target
	conn transport.Conn // the stream; nil: it polls
	id   string
}

func (w *world) raw(d transport.Dialer) *raw {
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	c := &raw{w: w, d: d, to: &transport.Target{URL: &url.URL{Scheme: "http", Host: "t"}, HTTP: &http.Client{Jar: jar}}}
	c.id = c.say(`{"channel":"/meta/handshake","id":"h","version":"1.0","supportedConnectionTypes":["x"]}`)[0].ClientID
	return c
}

// say returns the replies to a payload, in order.
func (c *raw) say(messages ...string) (replies []*bayeux.Message) {
	conn := c.conn
	if conn == nil {
		var err error
		conn, err = c.d.Dial(c.w.t.Context(), c.to)
		require.NoError(c.w.t, err)
		if !conn.Peer().Once {
			c.conn = conn
		}
	}
	text := strings.ReplaceAll(strings.Join(messages, ","), "$", c.id)
	require.NoError(c.w.t, conn.Send(&transport.Payload{Messages: [][]byte{[]byte(text)}}))
	for len(replies) < len(messages) {
		r, err := conn.Receive()
		require.NoError(c.w.t, err)
		var some []*bayeux.Message
		require.NoError(c.w.t, json.NewDecoder(r).Decode(&some))
		replies = append(replies, some...)
	}
	return replies
}

// publish is a publish of that message id, and of that key unless it is empty.
func (c *raw) publish(ch, id, data, key string) string {
	m := &bayeux.Message{Channel: ch, ID: id, ClientID: c.id, Data: []byte(data)}
	if key != "" {
		require.NoError(c.w.t, m.Ext.Set(once.Name, once.Key{Client: "one", ID: key}))
	}
	text, err := json.Marshal(m)
	require.NoError(c.w.t, err)
	return string(text)
}

func outcomes(ms []*bayeux.Message) (all []string) {
	for _, m := range ms {
		all = append(all, m.Channel+" "+m.Error)
	}
	return all
}

// With a history replies are made when a payload's last message is there, and show what
// they answer by the id of the message alone.
func TestTheReplyToAPublishIsNotStoredForAnotherOfItsPayload(t *testing.T) {
	for name, dialer := range map[string]func(func(transport.Conn)) transport.Dialer{"stream": memory.NewDialer, "polling": memory.NewPollDialer} {
		for _, id := range []string{"", "1"} {
			t.Run(fmt.Sprintf("%s, id %q", name, id), func(t *testing.T) {
				history, err := replayserver.New(replayserver.NewMemory(replayserver.Rule{Pattern: "/**", Channels: 1}))
				require.NoError(t, err)
				within(t, func(w *world) {
					c := w.raw(dialer(w.ServeConn))
					got := outcomes(c.say(c.publish("/orders", id, "1", "a"), c.publish("/more", id, "2", "b")))
					assert.ElementsMatch(t, []string{"/orders ", "/more 400::once_invalid"}, got)
					assert.Equal(t, []string{"/more 429:history_channels,1:limit_exceeded"}, outcomes(c.say(c.publish("/more", "2", "2", "b"))), "it was not taken")
					assert.Equal(t, []string{"/orders 409::once_unanswered"}, outcomes(c.say(c.publish("/orders", "3", "1", "a"))))

					got = outcomes(c.say(c.publish("/orders", id, "3", "c"), c.publish("/orders", id, `"no"`, "")))
					assert.ElementsMatch(t, []string{"/orders ", "/orders 409::sold_out"}, got)
					assert.Equal(t, []string{"/orders 409::once_unanswered"}, outcomes(c.say(c.publish("/orders", "4", "3", "c"))))

					got = outcomes(c.say(c.publish("/orders", id, "6", ""), c.publish("/orders", id, "7", "f"), c.publish("/orders", id, "7", "g")))
					assert.ElementsMatch(t, []string{"/orders ", "/orders 400::once_invalid", "/orders 400::once_invalid"}, got)
					assert.Equal(t, []string{"/orders 409::sold_out"}, outcomes(c.say(c.publish("/orders", id, `"no2"`, "g"))), "g had nothing of another's")

					assert.Equal(t, []string{"/orders ", "/orders "}, outcomes(c.say(c.publish("/orders", "5", "4", "d"), c.publish("/orders", "6", "5", "e"))))
					assert.Equal(t, []string{"/orders "}, outcomes(c.say(c.publish("/orders", "7", "4", "d"))))
					assert.Equal(t, map[string]int{"1": 1, "3": 1, `"no"`: 1, `"no2"`: 1, "6": 1, "4": 1, "5": 1}, w.taken)
					if c.conn != nil {
						c.conn.Close(transport.Normal)
					}
				}, server.WithExtension(onceserver.New()), history)
			})
		}
	}
}

// A part that is missing would be the same for all publishes.
func TestAKeyWithoutOneOfItsPartsIsRefused(t *testing.T) {
	long := strings.Repeat("x", 65)
	for _, k := range []once.Key{{}, {Client: "c"}, {ID: "1"}, {Client: long, ID: "1"}, {Client: "c", ID: long}} {
		within(t, func(w *world) {
			c := w.dial(func(*bayeux.Message) once.Key { return k })
			defer c.Close()
			assert.Equal(t, "400::once_invalid", publish(c, "x"))
			assert.Equal(t, "400::once_invalid", publish(c, "y"))
			assert.Empty(t, w.taken)
		}, server.WithExtension(onceserver.New()))
	}
}

func TestASessionCannotSpeakForManyClients(t *testing.T) {
	within(t, func(w *world) {
		n := 0
		c, well := w.dial(func(*bayeux.Message) once.Key { n++; return once.Key{Client: fmt.Sprint("c", n), ID: "1"} }), w.dial(of("well"))
		assert.Equal(t, "<nil>", publish(well, "a"))
		assert.Equal(t, "<nil>", publish(c, "x"))
		for range 20 {
			assert.Equal(t, "403:second_client:once_invalid", publish(c, "x"))
		}
		assert.Equal(t, "<nil>", publish(well, "a"))
		assert.Equal(t, 1, w.taken[`"a"`], "others are remembered")
		c.Close()
		well.Close()
	}, server.WithExtension(onceserver.New(onceserver.WithClients(3))))
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	for name, o := range map[string]onceserver.Option{"publishes": onceserver.WithPublishes(5), "bytes": onceserver.WithBytes(512 + 6*260)} {
		t.Run(name, func(t *testing.T) {
			within(t, func(w *world) {
				c := w.dial(of("one"))
				for i := range 10 {
					assert.Equal(t, "<nil>", publish(c, fmt.Sprint(i)))
				}
				assert.Equal(t, "<nil>", publish(c, "9"), "one of the last")
				assert.Equal(t, "<nil>", publish(c, "0"), "one of the first")
				assert.Equal(t, 1, w.taken[`"9"`])
				assert.Equal(t, 2, w.taken[`"0"`])
				assert.Equal(t, "409::sold_out", publish(c, "no1"))
				assert.Equal(t, "409::sold_out", publish(c, "no1"))
				assert.Equal(t, 1, w.taken[`"no1"`])
				c.Close()
			}, server.WithExtension(onceserver.New(o)))
		})
	}
	assert.Panics(t, func() { onceserver.WithBytes(0) })
}
