package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

func TestTheHandshakeReplyHasEverythingAClientNeeds(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		m := w.client().handshake()
		assert.Equal(t, "h1", m.ID)
		assert.Equal(t, "1.0", m.Version)
		assert.Equal(t, "1.0", m.MinimumVersion)
		assert.GreaterOrEqual(t, len(m.ClientID), 26, "128 bits and more")
		assert.Equal(t, &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(0), Timeout: bayeux.SpanOf(20 * time.Second)}, m.Advice)
		if !w.fake() {
			assert.Equal(t, []string{"websocket", "long-polling"}, m.SupportedConnectionTypes)
		}
	})
}

func TestHandshakesThatSayLittleOrNonsenseSucceed(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		for _, m := range []string{
			`{"channel":"/meta/handshake","id":"1"}`,
			`{"channel":"/meta/handshake","id":"1","version":"0.1","minimumVersion":"9","supportedConnectionTypes":["nothing"]}`,
		} {
			assert.Equal(t, bayeux.Succeeded, w.client().ask(m).Outcome)
		}
	})
}

func TestAStrictServerRefusesThemAndSaysNotToComeBack(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		m := c.ask(`{"channel":"/meta/handshake","id":"1","version":"0.1","supportedConnectionTypes":["websocket"]}`)
		assert.Equal(t, "400:version:version_unsupported", m.Error)
		assert.Equal(t, bayeux.NoReconnect, m.Advice.Reconnect)
		m = c.ask(`{"channel":"/meta/handshake","id":"2","version":"1.0","supportedConnectionTypes":["nothing"]}`)
		assert.Equal(t, bayeux.Failed, m.Outcome)
		for version, error := range map[string]string{
			`"version":"1.0"`:                        "",
			`"version":"1"`:                          "",
			`"version":"2.0","minimumVersion":"1.0"`: "",
			`"version":"2.0"`:                        "400:version:version_unsupported",
			`"version":"1.1"`:                        "400:version:version_unsupported",
			`"version":""`:                           "400:version:version_unsupported",
			`"version":null`:                         "400:version:version_unsupported",
			`"minimumVersion":"1.0"`:                 "400:version:version_unsupported",
			`"version":"1.0","minimumVersion":"1.1"`: "400:version:version_unsupported",
		} {
			m = w.client().ask(`{"channel":"/meta/handshake","id":"3","supportedConnectionTypes":["websocket","long-polling"],` + version + `}`)
			assert.Equal(t, error, m.Error, version)
		}
	}, server.WithStrictHandshake())
}

func TestWhatComesWithAHandshakeIsIgnored(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		c.send(`{"channel":"/foo","id":"0","data":1}`, `{"channel":"/meta/handshake","id":"1","version":"1.0"}`, `{"channel":"/foo","id":"2","data":1}`)
		m := c.wait()
		assert.Equal(t, "1", m.ID)
		assert.Equal(t, bayeux.Succeeded, m.Outcome)
		c.id = m.ClientID
		c.connect("3")
		assert.Equal(t, "3", c.wait().ID, "nothing else was answered")
	})
}

func TestTheFirstConnectIsNeverHeldAndSaysAllAdvice(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		c.connect("1")
		m := c.expect(bayeux.MetaConnect, "1")
		assert.Equal(t, &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(0), Timeout: bayeux.SpanOf(20 * time.Second)}, m.Advice)
		c.hold("2")
	})
}

func TestAConnectWithAdviceIsAnsweredWithAdviceAndWhenItWants(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		m := c.ask(`{"channel":"/meta/connect","id":"1","clientId":"$","advice":{"timeout":0,"interval":60000}}`)
		assert.Equal(t, time.Minute, m.Advice.Interval.Or(0))
		time.Sleep(65 * time.Second) // interval and grace
		begin := time.Now()
		m = c.ask(`{"channel":"/meta/connect","id":"2","clientId":"$","advice":{"timeout":500}}`)
		assert.Equal(t, 500*time.Millisecond, time.Since(begin))
		assert.Zero(t, m.Advice.Interval.Or(time.Hour), "it was for one connect")
		begin = time.Now()
		m = c.ask(`{"channel":"/meta/connect","id":"3","clientId":"$","advice":{"timeout":"x","interval":[]}}`)
		assert.Equal(t, 20*time.Second, time.Since(begin), "nonsense is ignored")
		assert.NotNil(t, m.Advice)
		begin = time.Now()
		assert.Nil(t, c.ask(`{"channel":"/meta/connect","id":"4","clientId":"$"}`).Advice)
		assert.Equal(t, 20*time.Second, time.Since(begin))
		m = c.ask(`{"channel":"/meta/connect","id":"5","clientId":"$","advice":{"timeout":0,"interval":60000}}`)
		assert.Equal(t, time.Minute, m.Advice.Interval.Or(0))
		m = c.ask(`{"channel":"/meta/connect","id":"6","clientId":"$"}`)
		require.NotNil(t, m.Advice, "without it the client would pause for a minute again, and its session be gone")
		assert.Zero(t, m.Advice.Interval.Or(time.Hour))
		assert.Nil(t, c.ask(`{"channel":"/meta/connect","id":"7","clientId":"$"}`).Advice)
	})
}

func TestNoClientCanKeepItsSessionForEverByAnInterval(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		r := c.ask(`{"channel":"/meta/connect","id":"1","clientId":"$","advice":{"timeout":0,"interval":9e18}}`)
		assert.Equal(t, 2*time.Minute, r.Advice.Interval.Or(0), "it is told what it gets")
		c.cut()
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 1, w.Stats().Sessions)
		time.Sleep(12 * time.Second) // the grace, and a sweep
		assert.Zero(t, w.Stats().Sessions)
	})
}

func TestHowLongAPauseAClientMayAskForIsAnOption(t *testing.T) {
	for _, c := range []struct {
		timing server.Timing
		want   time.Duration
	}{
		{server.Timing{MaxPause: time.Second}, time.Second},
		{server.Timing{MaxPause: time.Hour}, 10 * time.Minute},
		{server.Timing{MaxPause: -1}, 0},
		{server.Timing{MaxPause: time.Second, Interval: 5 * time.Second}, 5 * time.Second},
	} {
		onBoth(t, func(t *testing.T, w *world) {
			s := w.client()
			s.handshake()
			r := s.ask(`{"channel":"/meta/connect","id":"1","clientId":"$","advice":{"timeout":0,"interval":600000}}`)
			assert.Equal(t, c.want, r.Advice.Interval.Or(-1))
			s.cut()
			time.Sleep(c.want + 9*time.Second)
			assert.Equal(t, 1, w.Stats().Sessions)
			time.Sleep(3 * time.Second)
			assert.Zero(t, w.Stats().Sessions)
		}, server.WithTiming(c.timing))
	}
}

func TestAnEarlierConnectGivesWayToANewerOneAndTakesNothingAlong(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.connect("newer")
		if w.polling() {
			var e *transport.Error
			require.ErrorAs(t, c.broken(), &e)
			assert.Equal(t, http.StatusInternalServerError, e.Status)
		} else {
			c.ask(`{"channel":"/foo","id":"between","clientId":"$"}`) // it has been taken
		}
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, []string{"1"}, c.data(1))
		for _, m := range c.passed {
			assert.NotEqual(t, "c2", m.ID, "the replaced connect is never answered")
		}
		assert.Equal(t, 1, w.Stats().Sessions)
	})
}

func TestAConnectTogetherWithOtherMessagesIsNotHeldByPolling(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/foo")
		c.send(`{"channel":"/meta/connect","id":"x1","clientId":"$"}`, `{"channel":"/foo","id":"x2","clientId":"$","data":9}`)
		assert.Equal(t, bayeux.Succeeded, c.expect("/foo", "x2").Outcome)
		if w.polling() {
			assert.Equal(t, bayeux.Succeeded, c.expect(bayeux.MetaConnect, "x1").Outcome)
		}
		assert.Equal(t, []string{"9"}, c.data(1))
	})
}

func TestTwoConnectsInOnePayloadAreBothAnsweredByPolling(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		c.send(`{"channel":"/meta/connect","id":"1","clientId":"$","advice":{"timeout":0}}`, `{"channel":"/meta/connect","id":"2","clientId":"$","advice":{"timeout":0}}`)
		c.expect(bayeux.MetaConnect, "1")
		c.expect(bayeux.MetaConnect, "2")
	})
}

func TestOnlyConnectsOfUnknownSessionsAreAdvised(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		for _, m := range []string{
			`{"channel":"/meta/connect","id":"1","clientId":"nope"}`,
			`{"channel":"/meta/subscribe","id":"2","clientId":"nope","subscription":"/a"}`,
			`{"channel":"/meta/unsubscribe","id":"3","clientId":"nope","subscription":"/a"}`,
			`{"channel":"/meta/disconnect","id":"4","clientId":"nope"}`,
			`{"channel":"/foo","id":"5","clientId":"nope","data":{}}`,
			`{"channel":"/service/foo","id":"6","clientId":"nope","data":{}}`,
			`{"channel":"/foo","id":"7"}`,
		} {
			r := c.ask(m)
			assert.Equal(t, "402::session_unknown", r.Error, m)
			if r.Channel == bayeux.MetaConnect {
				assert.Equal(t, &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(0)}, r.Advice)
			} else {
				assert.Nil(t, r.Advice, m)
			}
		}
	})
}

func TestSimpleClientsAreAdvisedOnAllOfThem(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		r := w.client().ask(`{"channel":"/foo","id":"5","clientId":"nope","data":{}}`)
		assert.Equal(t, bayeux.HandshakeAgain, r.Advice.Reconnect)
	}, server.WithSimpleClients())
}

func TestTheSecondTabOfABrowserPollsSlowly(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		first := w.session()
		second := w.client()
		second.target.HTTP = first.target.HTTP // one cookie jar
		second.handshake()
		second.connect("1")
		second.expect(bayeux.MetaConnect, "1")
		second.connect("2")
		if !w.polling() {
			assert.Equal(t, 2, w.Stats().Held, "sockets are not scarce")
			return
		}
		m := second.expect(bayeux.MetaConnect, "2")
		assert.True(t, m.Advice.MultipleClients)
		assert.Equal(t, 2*time.Second, m.Advice.Interval.Or(0))
		assert.EqualValues(t, 1, w.Stats().Limited["held_per_browser"])

		first.connect("again") // replaces its own, so it counts once
		first.w.settle()
		assert.Equal(t, 1, w.Stats().Held)
		first.cut()
		second.connect("3")
		w.settle()
		assert.Equal(t, 1, w.Stats().Held, "the place is free again")
		m = second.expect(bayeux.MetaConnect, "3")
		require.NotNil(t, m.Advice, "or it would pause as before")
		assert.Zero(t, m.Advice.Interval.Or(time.Hour))
		assert.False(t, m.Advice.MultipleClients)
	})
}

// The reference's browser limit of 0: clients poll at an interval.
func TestNoConnectIsHeldWhereItsTimeoutIsNegative(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c := w.client()
		m := c.handshake()
		assert.Equal(t, bayeux.SpanOf(0), m.Advice.Timeout)
		assert.Equal(t, bayeux.SpanOf(2*time.Second), m.Advice.Interval)
		for i := range 3 {
			require.NoError(t, w.Session(c.id).Send("/a", i))
			begin := time.Now()
			c.connect(fmt.Sprint(i))
			assert.Equal(t, fmt.Sprint(i), string(c.wait().Data))
			c.expect(bayeux.MetaConnect, fmt.Sprint(i))
			assert.Equal(t, begin, time.Now())
			time.Sleep(2 * time.Second)
		}
		assert.Zero(t, w.Stats().Held)
	}, server.WithTransportTiming(bayeux.LongPolling, server.Timing{Timeout: -1, Interval: 2 * time.Second}))
}

func TestWithoutAPauseForItTheSecondTabIsSentAway(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		first := w.session()
		second := w.client()
		second.target.HTTP = first.target.HTTP
		second.handshake()
		second.connect("1")
		second.connect("2")
		m := second.expect(bayeux.MetaConnect, "2")
		assert.Equal(t, "403::multiple_clients", m.Error)
		assert.Equal(t, bayeux.NoReconnect, m.Advice.Reconnect)
	}, server.WithTiming(server.Timing{Multiple: -1}))
}

func TestAClientThatGoesWhileHeldIsNoticed(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session()
		c.cut()
		c.eventually(func() bool { return w.Stats().Held == 0 })
		assert.NotNil(t, w.Session(c.id))
	})
}

func TestAMessageAnswersAHeldConnectByPollingOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, "1", string(c.wait().Data))
		if w.polling() {
			assert.Equal(t, "c2", c.wait().ID, "the reply comes last")
		} else {
			assert.Equal(t, 1, w.Stats().Held)
		}
	})
}

func TestConnectOnlyDeliversWithConnectRepliesOnEveryTransport(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, "1", string(c.wait().Data))
		assert.Equal(t, "c2", c.wait().ID)
		c.send(`{"channel":"/a","id":"p","clientId":"$","data":2}`)
		assert.Equal(t, "p", c.wait().ID, "no event rides on another reply")
		assert.Equal(t, []string{"2"}, func() []string { c.connect("c3"); return c.data(1) }())
	}, server.WithConnectOnly())
}

func TestOneSessionAloneMayDeliverOnConnectOnly(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c, other := w.session("/a"), w.session("/a")
		w.Session(c.id).Outbox().OnConnectOnly(true)
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, "1", string(c.wait().Data))
		assert.Equal(t, "c2", c.wait().ID)
		assert.Equal(t, []string{"1"}, other.data(1))
	})
}

func TestTheDisconnectOfAClientEndsItsSession(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.send(`{"channel":"/meta/disconnect","id":"d","clientId":"$"}`)
		assert.Equal(t, bayeux.Succeeded, c.expect(bayeux.MetaDisconnect, "d").Outcome)
		m := c.expect(bayeux.MetaConnect, "c2")
		assert.Equal(t, bayeux.Succeeded, m.Outcome)
		assert.Equal(t, &bayeux.Advice{Reconnect: bayeux.NoReconnect}, m.Advice)
		assert.Nil(t, w.Session(c.id))
		assert.Zero(t, w.SubscriberCount("/a"))
		assert.Equal(t, "402::session_unknown", c.ask(`{"channel":"/meta/connect","id":"x","clientId":"$"}`).Error)
	})
}

// A connect that is not held is answered as one that is.
func TestADisconnectInThePayloadOfAConnectAnswersItToo(t *testing.T) {
	onAll(t, func(t *testing.T, w *world) {
		for _, connect := range []string{
			`{"channel":"/meta/connect","id":"c","clientId":"$"}`,
			`{"channel":"/meta/connect","id":"c","clientId":"$","advice":{"timeout":0}}`,
		} {
			for _, first := range []bool{true, false} {
				c := w.client()
				c.handshake()
				if !first {
					c.begin()
				}
				c.send(connect, `{"channel":"/meta/disconnect","id":"d","clientId":"$"}`)
				assert.Equal(t, bayeux.Succeeded, c.expect(bayeux.MetaDisconnect, "d").Outcome)
				m := c.expect(bayeux.MetaConnect, "c")
				assert.Equal(t, bayeux.Succeeded, m.Outcome)
				assert.Equal(t, &bayeux.Advice{Reconnect: bayeux.NoReconnect}, m.Advice, "first %v: %s", first, connect)
				assert.Nil(t, w.Session(c.id))
			}
		}
	})
}

func TestAKickTellsWhyAndWhatWasQueuedComesFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		s := w.Session(c.id)
		s.Batch(func() {
			require.NoError(t, s.Send("/last", "words"))
			s.Kick("maintenance")
		})
		assert.Equal(t, "/last", c.wait().Channel)
		m := c.wait()
		assert.Equal(t, `{"channel":"/meta/disconnect","successful":true,"ext":{"reason":"maintenance"}}`, encode(t, m))
		m = c.wait()
		assert.Equal(t, "c2", m.ID)
		assert.Equal(t, &bayeux.Advice{Reconnect: bayeux.NoReconnect}, m.Advice)
		c.eventually(func() bool { return w.Stats().QueuedBytes == 0 })
	})
}

func TestASessionWhoseTimeIsUpIsToldToHandshakeAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session()
		w.Session(c.id).Expire(time.Now().Add(5*time.Second), 2*time.Second)
		begin := time.Now()
		assert.Equal(t, server.ExpiringChannel, c.events(1)[0].Channel)
		assert.Equal(t, 3*time.Second, time.Since(begin))
		if w.polling() {
			c.expect(bayeux.MetaConnect, "c2")
			c.connect("c3")
		}
		m := c.wait()
		assert.Equal(t, 5*time.Second, time.Since(begin))
		assert.Equal(t, "402::session_unknown", m.Error)
		assert.Equal(t, bayeux.HandshakeAgain, m.Advice.Reconnect)
	})
}

func TestRepliesOfOnePayloadLeaveInOneFrame(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		frames := 0
		c := w.session()
		w.count = func() { frames++ }
		c.send(`{"channel":"/a","id":"1","clientId":"$","data":1}`, `{"channel":"/a","id":"2","clientId":"$","data":1}`, `{"channel":"/a","id":"3","clientId":"$","data":1}`)
		assert.Len(t, c.all(), 3)
		assert.Equal(t, 1, frames)
	})
}

func TestAFrameStaysBelowItsLimitButASingleMessageGoes(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		big := make([]byte, 700)
		for i := range big {
			big[i] = 'x'
		}
		s := w.Session(c.id)
		s.Batch(func() {
			for range 20 {
				require.NoError(t, w.Publish(t.Context(), "/a", string(big)))
			}
			require.NoError(t, w.Publish(t.Context(), "/a", string(big)+string(big)+string(big)))
		})
		c.events(21)
	}, server.WithLimits(server.Limits{FrameBytes: 2000}), server.WithHooks(server.Hooks{FrameOut: func(_ string, n, bytes int) {
		if bytes > 2000+200 && n > 2 {
			panic(errors.New("frame over the limit"))
		}
	}}))
}
