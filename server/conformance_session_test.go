package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

func TestASocketLostWithoutAConnectHeldLosesNothingEither(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		c.connect("1")
		c.expect(bayeux.MetaConnect, "1")
		c.ask(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/a"}`)
		c.cut()
		c.eventually(func() bool { return w.Stats().Conns == 0 })
		for i := range 3 {
			require.NoError(t, w.Publish(t.Context(), "/a", i))
		}
		c.send(`{"channel":"/meta/connect","id":"back","clientId":"$","advice":{"timeout":0}}`)
		assert.Equal(t, []string{"0", "1", "2"}, c.data(3))
	})
}

func TestMessagesExtendTheGraceButOnlyAConnectStopsTheClock(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		for i := range 5 {
			time.Sleep(8 * time.Second)
			m := c.ask(fmt.Sprintf(`{"channel":"/a","id":"%d","clientId":"$","data":1}`, i))
			require.Equal(t, bayeux.Succeeded, m.Outcome)
		}
		time.Sleep(12 * time.Second)
		assert.Zero(t, w.Stats().Sessions)
	})
}

func TestASecondSocketTakesTheSessionAndItsClockRuns(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session("/a")
		first := c.stream
		c.stream = nil
		c.ask(`{"channel":"/b","id":"p","clientId":"$","data":1}`) // a publish only
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, []string{"1"}, c.data(1), "on the new socket")
		assert.Zero(t, w.Stats().Held, "the connect of the old one is gone")
		time.Sleep(12 * time.Second)
		assert.Zero(t, w.Stats().Sessions, "a client that never connects again")
		first.Close(transport.Normal)
	})
}

func TestTheOldSocketOfASessionIsClosedAfterAWhile(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session()
		c.stream = nil
		c.connect("1")
		assert.Equal(t, 2, w.Stats().Conns)
		time.Sleep(15 * time.Second)
		assert.Equal(t, 1, w.Stats().Conns)
		assert.Equal(t, 1, w.Stats().Sessions)
	})
}

func TestASessionHopsFromPollingToASocketAndBack(t *testing.T) {
	for _, real := range []bool{false, true} {
		t.Run(fmt.Sprint("real ", real), func(t *testing.T) {
			run := onBoth
			if real {
				run = onSockets
			}
			run(t, func(t *testing.T, w *world) {
				if !w.polling() {
					return
				}
				c := w.session("/a")
				ws := w.clientOn(bayeux.WebSocket)
				ws.id, ws.target = c.id, c.target // the same browser
				m := ws.ask(`{"channel":"/meta/connect","id":"w1","clientId":"$","advice":{"timeout":0}}`)
				assert.NotNil(t, m.Advice)
				assert.Error(t, c.broken(), "the held poll is over")
				ws.hold("w2")
				require.NoError(t, w.Publish(t.Context(), "/a", 1))
				assert.Equal(t, "1", string(ws.wait().Data))
				assert.Equal(t, bayeux.WebSocket, w.Session(c.id).Transport())

				c.hold("back")
				require.NoError(t, w.Publish(t.Context(), "/a", 2))
				assert.Equal(t, []string{"2"}, c.data(1))
			})
		})
	}
}

func TestASessionKnowsHowItsLastMessageCame(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		if !w.polling() {
			return
		}
		used := make(chan string, 1)
		w.HandleService("/service/how", func(_ context.Context, s *server.Session, _ *bayeux.Message) (any, error) {
			used <- s.Transport()
			return server.NoAnswer, nil
		})
		how := func(c *wire, id string) string {
			c.ask(`{"channel":"/service/how","id":"` + id + `","clientId":"$"}`)
			return <-used
		}
		c, ws := w.client(), w.clientOn(bayeux.WebSocket)
		ws.target = c.target // the same browser
		ws.handshake()
		s := w.Session(ws.id)
		assert.Equal(t, bayeux.WebSocket, how(ws, "1"))

		c.id = ws.id
		c.connect("c1")
		c.expect(bayeux.MetaConnect, "c1")
		assert.Equal(t, bayeux.LongPolling, s.Transport(), "between two polls")
		assert.Equal(t, bayeux.LongPolling, how(c, "2"))
		c.hold("c2")
		assert.Equal(t, bayeux.LongPolling, how(c, "3"))

		assert.Equal(t, bayeux.LongPolling, how(ws, "4"), "the poll is held, and newer")
		ws.connect("c3")
		assert.Equal(t, bayeux.WebSocket, how(ws, "5"))
		ws.cut()
		ws.eventually(func() bool { return w.Stats().Conns == 0 })
		assert.Equal(t, bayeux.WebSocket, s.Transport(), "nobody has said anything since")
		assert.Equal(t, bayeux.LongPolling, how(c, "6"))
	}, server.WithTrustedSessionIDs())
}

func TestASecondHandshakeOnASocketLeavesTheFirstSessionBehind(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		if w.polling() {
			return
		}
		c := w.session("/a")
		first := c.id
		require.NoError(t, w.Session(first).Send("/service/x", 1))
		c.events(1)
		c.handshake()
		assert.NotEqual(t, first, c.id)
		m := c.ask(`{"channel":"/meta/connect","id":"old","clientId":"` + first + `"}`)
		assert.Equal(t, "402::session_unknown", m.Error)
		c.begin("/b")
		require.NoError(t, w.Publish(t.Context(), "/b", 2))
		assert.Equal(t, []string{"2"}, c.data(1))
		if w.fake() {
			time.Sleep(15 * time.Second)
			assert.Nil(t, w.Session(first))
			assert.NotNil(t, w.Session(c.id))
		}
	})
}

func TestABrowserThatShakesHandsAgainGetsANewSessionAndTheOldOneLivesOn(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		first := c.id
		again := w.client()
		again.target = c.target // the same cookie
		again.handshake()
		assert.NotEqual(t, first, again.id)
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, []string{"1"}, c.data(1))
		again.begin()
		assert.Equal(t, 2, w.Stats().Sessions)
	}, server.WithLimits(server.Limits{HeldPerBrowser: 2}))
}

func TestAHandshakeGetsThroughBehindRepliesOfAnEndedSession(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session("/a")
		for i := range 50 { // so that the old session's count is ahead of the new one's
			require.NoError(t, w.Publish(t.Context(), "/a", i))
		}
		c.all()
		s := w.Session(c.id)
		s.Batch(func() {
			require.NoError(t, w.Publish(t.Context(), "/a", "never sent"))
			c.send(`{"channel":"/meta/disconnect","id":"d","clientId":"$"}`)
		})
		c.expect(bayeux.MetaDisconnect, "d")
		c.handshake()
	})
}

func TestTheSecondMessageOfABatchCannotSpeakForAnother(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		a, b := w.session("/private"), w.session()
		b.send(`{"channel":"/x","id":"1","clientId":"$","data":1}`, `{"channel":"/meta/unsubscribe","id":"2","clientId":"`+a.id+`","subscription":"/private"}`)
		assert.Equal(t, bayeux.Succeeded, b.expect("/x", "1").Outcome)
		assert.Equal(t, "402::session_unknown", b.expect(bayeux.MetaUnsubscribe, "2").Error)
		assert.Equal(t, 1, w.SubscriberCount("/private"))
	})
}

// stranger makes a client that knows another's id, but not its cookie.
func stranger(t *testing.T, w *world, c *wire, typ string) *wire {
	other := w.clientOn(typ)
	other.id = c.id
	return other
}

func TestAStolenClientIDIsOfNoUseWithoutItsCookie(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session()
		if !w.polling() { // it has shown that it keeps its cookie when it comes again
			c.cut()
			c.ask(`{"channel":"/meta/connect","id":"again","clientId":"$","advice":{"timeout":0}}`)
		}
		for _, typ := range []string{bayeux.LongPolling, bayeux.WebSocket} {
			m := stranger(t, w, c, typ).ask(`{"channel":"/meta/connect","id":"x","clientId":"$"}`)
			assert.Equal(t, "402::session_unknown", m.Error, typ)
		}
	})
}

func TestWithTrustedSessionIDsTheIDAloneIsEnough(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session()
		m := stranger(t, w, c, bayeux.LongPolling).ask(`{"channel":"/meta/connect","id":"x","clientId":"$","advice":{"timeout":0}}`)
		assert.Equal(t, bayeux.Succeeded, m.Outcome)
	}, server.WithTrustedSessionIDs())
}

func TestASocketWithoutCookiesMayComeBackWithItsIDUnlessEachMustHandshake(t *testing.T) {
	for forbidden, opts := range map[bool][]server.Option{false: nil, true: {server.WithHandshakePerConnection()}} {
		everywhere(t, func(t *testing.T, w *world) {
			if w.polling() {
				return
			}
			c := w.client()
			if !w.fake() {
				c.target.HTTP.Jar = nil
			} else {
				c.target.HTTP, c.dialer = nil, memory.NewDialer(w.ServeConn)
			}
			c.handshake()
			c.connect("1")
			c.expect(bayeux.MetaConnect, "1")
			c.cut()
			if w.fake() {
				c.dialer = memory.NewDialer(w.ServeConn) // forgets the cookie
			} else {
				c.target.HTTP = &http.Client{Transport: &http.Transport{}}
			}
			m := c.ask(`{"channel":"/meta/connect","id":"2","clientId":"$","advice":{"timeout":0}}`)
			assert.Equal(t, forbidden, m.Outcome == bayeux.Failed)
		}, opts...)
	}
}

func TestASlowHandlerDoesNotCostItsSession(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.HandleService("/service/slow", func(context.Context, *server.Session, *bayeux.Message) (any, error) {
			time.Sleep(50 * time.Second)
			return "done", nil
		})
		c := w.client()
		c.handshake()
		c.send(`{"channel":"/service/slow","id":"r","clientId":"$","data":1}`)
		assert.Equal(t, `"done"`, string(c.wait().Data))
		assert.NotNil(t, w.Session(c.id))
		time.Sleep(12 * time.Second)
		assert.Nil(t, w.Session(c.id))
	})
}

func TestAHandlerThatHangsCostsItsSessionWhereThatIsBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		freed := make(chan time.Duration, 1)
		w.HandleService("/service/hang", func(ctx context.Context, _ *server.Session, _ *bayeux.Message) (any, error) {
			called := time.Now()
			<-ctx.Done()
			freed <- time.Since(called)
			return nil, ctx.Err()
		})
		w.HandleService("/service/slow", func(context.Context, *server.Session, *bayeux.Message) (any, error) {
			time.Sleep(25 * time.Second)
			return "done", nil
		})
		slow, c := w.session(), w.session()
		begin := time.Now()
		slow.send(`{"channel":"/service/slow","id":"r","clientId":"$","data":1}`)
		c.send(`{"channel":"/service/hang","id":"r","clientId":"$","data":1}`)
		if w.polling() { // connects go on, and do not hide it
			c.expect(bayeux.MetaConnect, "c2")
			c.connect("c3")
			m := c.expect(bayeux.MetaConnect, "c3")
			assert.Equal(t, bayeux.HandshakeAgain, m.Advice.Reconnect)
		}
		time.Sleep(time.Until(begin.Add(32 * time.Second)))
		assert.InDelta(t, 30.5, (<-freed).Seconds(), 1)
		assert.Nil(t, w.Session(c.id))
		assert.Equal(t, `"done"`, slow.data(1)[0])
		assert.NotNil(t, w.Session(slow.id))
	}, server.WithTiming(server.Timing{Processing: 30 * time.Second}))
}

func TestASessionMayHaveATimingOfItsOwn(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session()
		w.Session(c.id).SetTiming(server.Timing{Timeout: 7 * time.Second, MaxInterval: time.Minute, Interval: time.Second})
		c.expect(bayeux.MetaConnect, "c2")
		begin := time.Now()
		c.connect("c3")
		m := c.expect(bayeux.MetaConnect, "c3")
		assert.Equal(t, 7*time.Second, time.Since(begin))
		assert.Equal(t, 7*time.Second, m.Advice.Timeout.Or(0))
		assert.Equal(t, time.Second, m.Advice.Interval.Or(0))
		c.cut()
		time.Sleep(55 * time.Second)
		assert.NotNil(t, w.Session(c.id))
		time.Sleep(10 * time.Second)
		assert.Nil(t, w.Session(c.id))
	})
}

func TestEachTransportMayHaveATimingOfItsOwn(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		m := w.client().handshake()
		want := map[string]time.Duration{bayeux.WebSocket: 20 * time.Second, bayeux.LongPolling: 3 * time.Second}[w.typ]
		assert.Equal(t, want, m.Advice.Timeout.Or(0))
	}, server.WithTransportTiming(bayeux.LongPolling, server.Timing{Timeout: 3 * time.Second}))
}

func TestTheGraceIsAdvisedWhereThatIsOn(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		assert.Equal(t, 10*time.Second, w.client().handshake().Advice.MaxInterval.Or(0))
	}, server.WithMaxIntervalAdvice())
}

func TestAFailedHandshakeLeavesNothingBehind(t *testing.T) {
	policy := server.Policy{Handshake: func(_ context.Context, s *server.Session, m *bayeux.Message) error {
		s.SetUser("eve")
		s.Context()
		if m.Ext != nil {
			panic("policy")
		}
		return &bayeux.Error{Code: 401, Message: "token_expired", Ext: bayeux.Ext{"why": []byte(`"old"`)},
			Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(time.Second)}}
	}}
	everywhere(t, func(t *testing.T, w *world) {
		seen := w.Events(t.Context())
		c := w.client()
		m := c.ask(`{"channel":"/meta/handshake","id":"h","version":"1.0"}`)
		assert.Equal(t, "401::token_expired", m.Error)
		assert.Equal(t, `"old"`, string(m.Ext["why"]), "the policy's own ext and advice reach the client")
		assert.Equal(t, time.Second, m.Advice.Interval.Or(0))
		assert.Empty(t, m.ClientID)

		m = c.ask(`{"channel":"/meta/handshake","id":"h2","version":"1.0","ext":{}}`)
		assert.Equal(t, "500::internal", m.Error)
		assert.Equal(t, bayeux.HandshakeAgain, m.Advice.Reconnect)
		m = c.ask(`{"channel":"/meta/subscribe","id":"s","clientId":"x","subscription":"/a"}`)
		assert.Equal(t, "402::session_unknown", m.Error)

		assert.Zero(t, w.Stats().Sessions)
		for s := range w.UserSessions("eve") {
			assert.Fail(t, "leaked", s)
		}
		w.Emit("end")
		for ev := range seen {
			assert.Equal(t, server.CustomData{Value: "end"}, ev, "no event of a session that never was")
			break
		}
	}, server.WithPolicy(policy))
}

func TestRefusedHandshakesDoNotChangeTheErrorsOfThePolicy(t *testing.T) {
	shared := &bayeux.Error{Code: 403, Message: "closed"}
	everywhere(t, func(t *testing.T, w *world) {
		m := w.client().ask(`{"channel":"/meta/handshake","id":"h","version":"1.0"}`)
		assert.Equal(t, bayeux.NoReconnect, m.Advice.Reconnect)
		assert.Nil(t, shared.Advice)
	}, server.WithPolicy(server.Policy{Handshake: func(context.Context, *server.Session, *bayeux.Message) error { return shared }}))
}

func TestTheRequestIsReachableFromHandlersOnBothTransports(t *testing.T) {
	onSockets(t, func(t *testing.T, w *world) {
		type seen struct{ agent, addr, custom, cookie string }
		got := make(chan seen, 1)
		w.HandleService("/service/who", func(ctx context.Context, s *server.Session, m *bayeux.Message) (any, error) {
			p := server.PeerOf(ctx)
			got <- seen{p.Header.Get("User-Agent"), p.Addr, s.Peer().Header.Get("X-Tenant"), p.Header.Get("Cookie")}
			return nil, nil
		})
		c := w.client()
		c.target.Header = http.Header{"User-Agent": {"test/1"}, "X-Tenant": {"acme"}, "X-Other": {"no"}}
		c.handshake()
		c.ask(`{"channel":"/service/who","id":"r","clientId":"$"}`)
		s := <-got
		assert.Equal(t, "test/1", s.agent)
		assert.Equal(t, "acme", s.custom)
		assert.True(t, strings.HasPrefix(s.addr, "127.0.0.1:"), s.addr)
		if w.polling() {
			assert.Contains(t, s.cookie, "BAYEUX_BROWSER=")
		}
	}, server.WithHeaders("X-Tenant"))
}

func TestOnHTTP2EveryTabIsHeldUnlessALimitSaysHowMany(t *testing.T) {
	for limit, held := range map[int]int{0: 3, -1: 3, 2: 2} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			srv, err := cometd.NewServer(server.WithLimits(server.Limits{HeldPerBrowserHTTP2: limit}))
			require.NoError(t, err)
			hs := httptest.NewUnstartedServer(srv)
			hs.EnableHTTP2 = true
			hs.StartTLS()
			defer hs.Close()
			defer srv.Close()
			jar, err := cookiejar.New(nil)
			require.NoError(t, err)
			w := &world{Server: srv, t: t, typ: bayeux.LongPolling, http: hs}
			for range held {
				c := w.client()
				c.target.HTTP = &http.Client{Jar: jar, Transport: hs.Client().Transport}
				c.handshake()
				c.begin()
			}
			assert.Equal(t, held, srv.Stats().Held)
			if held == limit { // one more is told so
				c := w.client()
				c.target.HTTP = &http.Client{Jar: jar, Transport: hs.Client().Transport}
				c.handshake()
				c.connect("1")
				c.expect(bayeux.MetaConnect, "1")
				c.connect("2")
				assert.True(t, c.expect(bayeux.MetaConnect, "2").Advice.MultipleClients)
				assert.EqualValues(t, 1, srv.Stats().Limited["held_per_browser_http2"])
			}
			for _, c := range w.wire {
				c.cut()
			}
		})
	}
}

func TestEventsTellEverySessionInOrderAndNothingAfterItsEnd(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		seen := w.Events(t.Context())
		c := w.session("/a", "/b")
		c.ask(`{"channel":"/meta/unsubscribe","id":"u","clientId":"$","subscription":"/a"}`)
		w.Session(c.id).Kick("enough")
		c.eventually(func() bool { return w.Session(c.id) == nil })
		w.Emit(42)
		var got []string
		for ev := range seen {
			switch ev := ev.(type) {
			case server.SessionAdded:
				got = append(got, "added")
				assert.NotNil(t, server.PeerOf(ev.Context))
			case server.Subscribed:
				got = append(got, "subscribed "+ev.Channels[0])
			case server.Unsubscribed:
				got = append(got, "unsubscribed "+ev.Channels[0])
			case server.SessionRemoved:
				got = append(got, "removed "+ev.Reason.String()+" "+ev.Text)
			case server.CustomData:
				got = append(got, fmt.Sprint("custom ", ev.Value))
			}
			if len(got) == 7 {
				break
			}
		}
		assert.Equal(t, []string{"added", "subscribed /a", "subscribed /b", "unsubscribed /a", "unsubscribed /b", "removed kicked enough", "custom 42"}, got)
	})
}

func TestASlowEventLoopIsToldWhatItMissed(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		seen := w.Events(t.Context())
		for i := range 10 {
			w.Emit(i)
		}
		var got []server.Event
		for ev := range seen {
			if got = append(got, ev); len(got) == 4 {
				break
			}
		}
		assert.Equal(t, []server.Event{server.EventsLost{Events: 7}, server.CustomData{Value: 7}, server.CustomData{Value: 8}, server.CustomData{Value: 9}}, got)
	}, server.WithLimits(server.Limits{Events: 3}))
}

// Listeners of the server's own messages get no session, and log it.
func TestASessionIsLoggedByTheEndOfItsIDAndNoneAsNone(t *testing.T) {
	var none *server.Session
	assert.Equal(t, "none none", fmt.Sprintf("%v %s", none, none.LogValue()))
	onBoth(t, func(t *testing.T, w *world) {
		a, b := w.session(), w.session()
		assert.NotEqual(t, w.Session(a.id).String(), w.Session(b.id).String(), "ids of a second begin alike")
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			assert.Equal(t, "…"+a.id[len(a.id)-8:], fmt.Sprintf(verb, w.Session(a.id)))
		}
	}, server.WithSessionIDs(server.TimeID))
}

// Clients in the process come from no address.
func TestClientsInMemoryAreBoundedByNoAddress(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		for range 3 {
			s := w.Session(w.session().id)
			assert.Empty(t, s.Peer().Addr)
		}
	}, server.WithLimits(server.Limits{SessionsPerAddr: 1}))
}

func TestPublishingOnAServiceChannelIsAnErrorOfTheProgram(t *testing.T) {
	srv, err := server.New()
	require.NoError(t, err)
	defer srv.Close()
	assert.EqualError(t, srv.Publish(t.Context(), "/service/a", 1), `server: not a broadcast channel, and only those have subscribers: "/service/a"`)
}
