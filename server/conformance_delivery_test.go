package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

func TestAListenerRunsBeforeSubscribersAndTheyBeforeTheReply(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		w.Handle("/a", func(context.Context, *server.Session, *bayeux.Message) error { note("listener"); return nil })
		c := w.session("/a")
		c.send(`{"channel":"/a","id":"p","clientId":"$","data":1}`)
		for range 2 {
			if m := c.wait(); m.Data != nil {
				note("subscriber")
			} else {
				note(m.ID)
			}
		}
		assert.Equal(t, []string{"listener", "subscriber", "p"}, order)
	})
}

func TestOwnMessagesRideOnTheReplyWhoeverWatches(t *testing.T) {
	hooks := server.Hooks{Published: func(string, int, int) {}, Refused: func(*transport.Peer, *bayeux.Error) {}}
	policy := server.Policy{Publish: func(context.Context, *server.Session, *server.Publication) error { return nil }}
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.send(`{"channel":"/a","id":"1","clientId":"$","data":1}`, `{"channel":"/a","id":"2","clientId":"$","data":2}`)
		var got []string
		for range 4 {
			m := c.wait()
			got = append(got, m.ID+string(m.Data))
		}
		if w.polling() {
			assert.Equal(t, []string{"1", "2", "1", "2"}, got, "events, then replies")
		}
		assert.True(t, w.Session(c.id).Holds("c2"), "the connect was left alone")
	}, server.WithHooks(hooks), server.WithPolicy(policy))
}

func TestEachOfThreeLevelsKeepsAPublisherFromItsOwnMessages(t *testing.T) {
	off := map[string]func(w *world, c *wire){
		"server":  func(*world, *wire) {},
		"channel": func(w *world, _ *wire) { w.Configure("/a", server.ChannelOptions{NoEcho: true}) },
		"session": func(w *world, c *wire) { w.Session(c.id).SetEcho(false) },
	}
	for level, turnOff := range off {
		t.Run(level, func(t *testing.T) {
			var opts []server.Option
			if level == "server" {
				opts = append(opts, server.WithoutEcho())
			}
			everywhere(t, func(t *testing.T, w *world) {
				c, other := w.session("/a"), w.session("/a")
				turnOff(w, c)
				c.ask(`{"channel":"/a","id":"p","clientId":"$","data":1}`)
				assert.Equal(t, []string{"1"}, other.data(1))
				c.quiet()
				if w.polling() {
					c.expect(bayeux.MetaConnect, "c2")
					c.hold("c3")
				}
				w.Session(c.id).Disconnect()
				assert.Equal(t, bayeux.NoReconnect, c.expectAdvice().Reconnect, "the kick arrives all the same")
			}, opts...)
		})
	}
}

// expectAdvice returns the next advice of a connect.
func (c *wire) expectAdvice() *bayeux.Advice {
	for {
		if m := c.wait(); m.Channel == bayeux.MetaConnect && m.Advice != nil {
			return m.Advice
		}
	}
}

func TestThousandsOfMessagesArriveInOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		const n = 3000
		c := w.session("/a")
		go func() {
			for i := range n {
				w.Publish(context.Background(), "/a", i)
			}
		}()
		for i, d := range c.data(n) {
			require.Equal(t, fmt.Sprint(i), d)
		}
	})
}

func TestAllSubscribersSeeConcurrentPublishersInOneOrder(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		const publishers, each = 4, 100
		a, b := w.session("/a"), w.session("/**")
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				for i := range each {
					w.Publish(context.Background(), "/a", p*each+i)
				}
			})
		}
		wg.Wait()
		assert.Equal(t, a.data(publishers*each), b.data(publishers*each))
	})
}

func TestOneOrderHoldsAlsoWhenExtensionsChangeEachCopy(t *testing.T) {
	mark := server.Extension{Deliver: func(_ context.Context, s *server.Session, m *bayeux.Message) error {
		return m.Ext.Set("for", s.ID())
	}}
	everywhere(t, func(t *testing.T, w *world) {
		const publishers, each = 4, 50
		a, b := w.session("/a"), w.session("/a")
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				for i := range each {
					w.Publish(context.Background(), "/a", p*each+i)
				}
			})
		}
		wg.Wait()
		seen := func(c *wire) (got []string) {
			for _, m := range c.events(publishers * each) {
				require.Equal(t, `"`+c.id+`"`, string(m.Ext["for"]))
				got = append(got, string(m.Data))
			}
			return got
		}
		assert.Equal(t, seen(a), seen(b))
	}, server.WithExtension(mark))
}

func TestFalsyDataIsData(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		for i, d := range []string{`null`, `0`, `""`, `false`, `[]`, `{}`, `-0`, `1e400`, `12345678901234567890`} {
			c.send(fmt.Sprintf(`{"channel":"/a","id":"p%d","clientId":"$","data":%s}`, i, d))
			assert.Equal(t, []string{d}, c.data(1))
		}
		c.ask(`{"channel":"/a","id":"none","clientId":"$"}`)
		c.quiet()
	})
}

func TestAMessageWithoutDataIsBroadcastWithout(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.send(`{"channel":"/a","id":"p","clientId":"$"}`)
		assert.Equal(t, `{"channel":"/a"}`, encode(t, c.expect("/a", "")))
	})
}

func TestMessagesQueuedInTheHandshakeComeWithItsReplyWhereThatIsOn(t *testing.T) {
	greet := server.WithPolicy(server.Policy{Handshake: func(_ context.Context, s *server.Session, _ *bayeux.Message) error {
		s.Send("/greeting", 1)
		s.Send("/greeting", 2)
		return s.Subscribe("/news")
	}})
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		m := c.handshake()
		assert.Equal(t, "2", string(m.Extra["x-messages"]))
		assert.Equal(t, []string{"1", "2"}, c.data(2), "without a connect")
		assert.EqualValues(t, 2, w.Stats().Delivered)
		c.begin()
		require.NoError(t, w.Publish(t.Context(), "/news", 3))
		assert.Equal(t, []string{"3"}, c.data(1))
	}, greet, server.WithHandshakeDelivery())
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		m := c.handshake()
		assert.Empty(t, m.Extra["x-messages"])
		assert.Empty(t, c.passed)
		c.connect("1")
		assert.Equal(t, []string{"1", "2"}, c.data(2))
	}, greet)
}

func TestLazyMessagesWaitForCompanyButNotForLong(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Configure("/lazy/**", server.ChannelOptions{Lazy: 3 * time.Second}))
		require.NoError(t, w.Configure("/lazier", server.ChannelOptions{Lazy: -1}))
		c := w.session("/**")
		begin := time.Now()
		require.NoError(t, w.Publish(t.Context(), "/lazy/a", 1))
		assert.Equal(t, []string{"1"}, c.data(1))
		assert.Equal(t, 3*time.Second, time.Since(begin), "laziness is inherited from a wildcard")

		w.settle() // until the server knows, too, that it has been sent
		begin = time.Now()
		require.NoError(t, w.Publish(t.Context(), "/lazier", 2))
		assert.Equal(t, []string{"2"}, c.data(1))
		assert.Equal(t, 5*time.Second, time.Since(begin))

		w.settle() // until the server knows, too, that it has been sent
		begin = time.Now()
		require.NoError(t, w.Publish(t.Context(), "/lazier/child", 3))
		assert.Equal(t, []string{"3"}, c.data(1))
		assert.Less(t, time.Since(begin), time.Second, "but not from a parent")

		w.settle() // until the server knows, too, that it has been sent
		begin = time.Now()
		require.NoError(t, w.Publish(t.Context(), "/lazier", 4))
		require.NoError(t, w.Publish(t.Context(), "/quick", 5))
		assert.Equal(t, []string{"4", "5"}, c.data(2))
		assert.Less(t, time.Since(begin), time.Second, "company has come")

		w.settle() // until the server knows, too, that it has been sent
		begin = time.Now()
		require.NoError(t, w.Session(c.id).Send("/lazier", 6))
		assert.Equal(t, []string{"6"}, c.data(1))
		assert.Less(t, time.Since(begin), time.Second, "a direct message is never lazy")
	})
}

func TestALateLazyTimerDoesNotHurryTheNextLazyMessages(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Configure("/lazy", server.ChannelOptions{Lazy: 4 * time.Second}))
		c := w.session("/**")
		require.NoError(t, w.Publish(t.Context(), "/lazy", 1))
		require.NoError(t, w.Publish(t.Context(), "/quick", 2))
		c.data(2)
		time.Sleep(5 * time.Second) // the timer of 1 finds nothing
		begin := time.Now()
		require.NoError(t, w.Publish(t.Context(), "/lazy", 3))
		c.data(1)
		assert.Equal(t, 4*time.Second, time.Since(begin))
	})
}

func TestAConnectThatFindsOnlyLazyMessagesIsHeld(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Configure("/lazy", server.ChannelOptions{Lazy: 8 * time.Second}))
		c := w.client()
		c.handshake()
		c.connect("c1")
		c.expect(bayeux.MetaConnect, "c1")
		require.NoError(t, w.Session(c.id).Subscribe("/lazy"))
		for i := range 100 {
			require.NoError(t, w.Publish(t.Context(), "/lazy", i))
		}
		begin := time.Now()
		c.hold("c2")
		assert.Empty(t, c.all())
		assert.Len(t, c.data(100), 100)
		assert.Equal(t, 8*time.Second, time.Since(begin))
	})
}

func TestAHeldConnectThatTimesOutTakesLazyMessagesAlong(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Configure("/lazy", server.ChannelOptions{Lazy: time.Hour}))
		c := w.session("/lazy")
		begin := time.Now()
		require.NoError(t, w.Publish(t.Context(), "/lazy", 1))
		assert.Equal(t, "1", string(c.wait().Data))
		assert.Equal(t, "c2", c.wait().ID)
		assert.Equal(t, 20*time.Second, time.Since(begin))
	})
}

func TestASlowReaderGetsTheLatestOfEachChannelOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/price/*")
		c.cut()
		for i := range 100 {
			require.NoError(t, w.Publish(t.Context(), "/price/a", i))
			require.NoError(t, w.Publish(t.Context(), "/price/b", -i))
		}
		assert.Equal(t, 2, w.Session(c.id).Outbox().Len())
		assert.EqualValues(t, 198, w.Session(c.id).Outbox().Dropped())
		c.connect("back")
		assert.Equal(t, []string{"99", "-99"}, c.data(2))
	}, server.WithChannel("/price/*", server.ChannelOptions{Overflow: server.KeepLatest}))
}

func TestLatestValuesThatGrowStayWithinTheOutbox(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/**")
		c.cut()
		long := make([]byte, 900)
		for i := range long {
			long[i] = 'x'
		}
		for round := range 3 {
			for i := range 100 {
				data := string(long)
				if round == 0 {
					data = "small"
				}
				require.NoError(t, w.Publish(t.Context(), fmt.Sprintf("/price/%d", i), data))
			}
		}
		assert.LessOrEqual(t, w.Session(c.id).Outbox().Bytes(), 10_000+1000)
		assert.NotZero(t, w.Session(c.id).Outbox().Len())
	}, server.WithChannel("/**", server.ChannelOptions{Overflow: server.KeepLatest}), server.WithLimits(server.Limits{SessionBytes: 10_000}))
}

func TestAFullOutboxMayDropTheOldestAndCountsThem(t *testing.T) {
	var mu sync.Mutex
	dropped := map[string]int{}
	hooks := server.WithHooks(server.Hooks{Dropped: func(_ *server.Session, ch string, n int, _ transport.Reason) {
		mu.Lock()
		dropped[ch] += n
		mu.Unlock()
	}})
	onBoth(t, func(t *testing.T, w *world) {
		clear(dropped)
		c := w.session("/a")
		c.cut()
		for i := range 10 {
			require.NoError(t, w.Publish(t.Context(), "/a", i))
		}
		c.connect("back")
		assert.Equal(t, []string{"7", "8", "9"}, c.data(3))
		assert.Equal(t, 7, dropped["/a"])
		assert.EqualValues(t, 7, w.Stats().Dropped)
	}, hooks, server.WithChannel("/a", server.ChannelOptions{Overflow: server.DropOldest}), server.WithLimits(server.Limits{SessionMessages: 3}))
}

func TestAQueueFilterDecimatesWhatIsAboutToLeave(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		s := w.Session(c.id)
		s.Outbox().Filter(func(ms []*bayeux.Message) (kept []*bayeux.Message) {
			for _, m := range ms {
				var n int
				if m.Decode(&n) == nil && n%10 == 0 {
					kept = append(kept, m)
				}
			}
			return kept
		})
		s.Batch(func() {
			for i := range 31 {
				require.NoError(t, w.Publish(t.Context(), "/a", i))
			}
		})
		assert.Equal(t, []string{"0", "10", "20", "30"}, c.data(4))
		require.NoError(t, w.Publish(t.Context(), "/a", 1)) // nothing is left of it
		if w.typ == bayeux.WebSocket {
			c.eventually(func() bool { return s.Outbox().Len() == 0 })
		}
		require.NoError(t, w.Publish(t.Context(), "/a", 40))
		assert.Equal(t, []string{"40"}, c.data(1))
		c.eventually(func() bool { return s.Outbox().Len() == 0 })
	}, server.WithHooks(server.Hooks{FrameOut: func(_ string, messages, _ int) {
		assert.NotZero(t, messages, "a frame of which nothing was left does not leave")
	}}))
}

func TestASlowQueueFilterDelaysItsOwnSessionOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		slow, other := w.session("/a"), w.session("/a")
		goOn := make(chan struct{})
		w.Session(slow.id).Outbox().Filter(func(ms []*bayeux.Message) []*bayeux.Message {
			<-goOn
			return ms
		})
		for i := range 3 {
			require.NoError(t, w.Publish(t.Context(), "/a", i))
			assert.Equal(t, []string{strconv.Itoa(i)}, other.data(1))
		}
		close(goOn)
		assert.Equal(t, []string{"0", "1", "2"}, slow.data(3))
	})
}

func TestANewSubscriberGetsTheLatestValueAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Publish(t.Context(), "/price/a", 1))
		require.NoError(t, w.Publish(t.Context(), "/price/a", 2))
		assert.Equal(t, []string{"2"}, w.session("/price/a").data(1))
		assert.Equal(t, []string{"2"}, w.session("/price/*").data(1))
	}, server.WithChannel("/price/*", server.ChannelOptions{SendLast: true}))
}

func TestABatchLeavesTogether(t *testing.T) {
	sent := newFrames()
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session()
		sent.forget()
		w.Session(c.id).Batch(func() {
			for i := range 10 {
				w.Session(c.id).Batch(func() { w.Session(c.id).Send("/a", i) }) // one within counts too
			}
			w.settle()
			assert.Empty(t, sent.take())
		})
		want := 10
		if w.polling() {
			want++ // the reply to the connect
		}
		assert.Len(t, c.all(), want)
		assert.Equal(t, []int{want}, sent.take())
	}, sent.hook())
}

func TestSendUserReachesAllSessionsOfAUserAndNobodyElse(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, b, c := w.session(), w.session(), w.session()
		w.Session(a.id).SetUser("ann")
		w.Session(b.id).SetUser("bob")
		w.Session(b.id).SetUser("ann")
		require.NoError(t, w.SendUser("ann", "/note", 1))
		assert.Equal(t, []string{"1"}, a.data(1))
		assert.Equal(t, []string{"1"}, b.data(1))
		c.quiet()
		require.NoError(t, w.SendUser("bob", "/note", 1))
		w.Session(a.id).Disconnect()
		n := 0
		for range w.UserSessions("ann") {
			n++
		}
		assert.Equal(t, 1, n)
	})
}

func TestServerSideSendNeedsALegalChannelAndEncodableData(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		s := w.Session(w.session().id)
		assert.Error(t, s.Send("/meta/connect", 1))
		assert.Error(t, s.Send("nope", 1))
		assert.Error(t, s.Send("/a", func() {}))
		assert.Error(t, s.Send("/a", json.RawMessage(`{bad`)))
		assert.Error(t, w.Publish(t.Context(), "/a/*", 1))
		assert.Error(t, w.Publish(t.Context(), "/service/a", 1))
		assert.Error(t, w.SendUser("", "/a", 1))
	})
}

// A client that uses a connection per request may ask again before the server
// knows that its last answer has left.
func TestAPublishersOwnEchoComesWithTheReplyOnAConnectionOfItsOwn(t *testing.T) {
	w := newRealWorld(t, bayeux.LongPolling)
	defer w.end()
	c := w.client()
	c.target.HTTP.Transport = &http.Transport{DisableKeepAlives: true}
	c.handshake()
	c.send(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/echo"}`)
	c.expect(bayeux.MetaSubscribe, "s")
	for i := range 300 {
		id := fmt.Sprint("p", i)
		c.send(fmt.Sprintf(`{"channel":"/echo","id":%q,"clientId":"$","data":%d}`, id, i))
		echo := c.wait() // events come first
		require.Equal(t, fmt.Sprint(i), string(echo.Data))
		c.expect("/echo", id)
	}
}
