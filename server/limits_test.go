package server_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

// unanswered are the limits for which no message is refused with a Bayeux error that
// names them: why, and what looks at them.
var unanswered = map[string]string{
	"message_bytes":          "the payload is refused, by status or close code: TestEachLimitIsNamedAndExact of the codec",
	"batch_messages":         "likewise",
	"depth":                  "likewise",
	"data_depth":             "likewise",
	"header_bytes":           "nobody is refused: TestAPeerKeepsNoMoreOfARequestThanTheLimit",
	"latest_bytes":           "nobody is refused: TestLatestMessagesAreBoundedAndThoseThatNobodyListensToGoFirst",
	"session_queue":          "the session ends: TestASessionClosedByALimitIsToldWhich",
	"server_bytes":           "likewise",
	"conns":                  "the request is refused, by status: TestConnectionsBeyondTheLimitGet503",
	"conns_per_addr":         "likewise",
	"held_per_browser":       "the connect is answered, with advice: TestAHookThatHearsOfALimitMayUseTheServer",
	"held_per_browser_http2": "likewise",
	"header":                 "the request is refused, by status: TestAHeaderThatTakesTooLongIsRefusedByName",
	"handshake":              "the socket is closed: TestASocketThatNeverHandshakesIsClosed",
	"body":                   "the request is refused, by status: TestABodyThatDoesNotComeIsRefusedInTime",
	"write":                  "who takes nothing reads no answer: TestAPollOverHTTP2ThatIsNeverReadIsGivenUp",
	"callback":               "the request is refused, by status: TestCallbackPollingRefusesWhatIsNoCall of longpoll",
}

// Each limit that a message may break, how to break it, and that the refusal names
// it and is counted.
func TestEveryLimitNamesItselfAndIsCounted(t *testing.T) {
	rows := []struct {
		name   string
		limits server.Limits
		breaks func(t *testing.T, w *world) *bayeux.Message
		says   string
	}{
		{"id_bytes", server.Limits{IDBytes: 3}, func(_ *testing.T, w *world) *bayeux.Message {
			c := w.session()
			assert.Equal(c.t, bayeux.Succeeded, c.ask(`{"channel":"/a","id":"123","clientId":"$","data":1}`).Outcome)
			c.send(`{"channel":"/a","id":"1234","clientId":"$","data":1}`)
			return c.expect("/a", "")
		}, "405:id_bytes,3:message_id_invalid"},
		{"subscriptions", server.Limits{Subscriptions: 2}, func(_ *testing.T, w *world) *bayeux.Message {
			return w.session().ask(`{"channel":"/meta/subscribe","id":"x","clientId":"$","subscription":["/a","/b","/c"]}`)
		}, "429:subscriptions,2:limit_exceeded"},
		{"channels_created", server.Limits{ChannelsCreated: 1}, func(_ *testing.T, w *world) *bayeux.Message {
			c := w.session("/a")
			return c.ask(`{"channel":"/b","id":"x","clientId":"$","data":1}`)
		}, "429:channels_created,1:limit_exceeded"},
		{"channel_bytes", server.Limits{ChannelBytes: 10}, func(_ *testing.T, w *world) *bayeux.Message {
			return w.session().ask(`{"channel":"/meta/subscribe","id":"x","clientId":"$","subscription":"/a23456789/x"}`)
		}, "403:channel_bytes,10:subscription_invalid"},
		{"channel_segments", server.Limits{ChannelSegments: 2}, func(_ *testing.T, w *world) *bayeux.Message {
			return w.session().ask(`{"channel":"/a/b/c","id":"x","clientId":"$","data":1}`)
		}, "405:channel_segments,2:channel_invalid"},
		{"channel_segments", server.Limits{ChannelSegments: 2}, func(_ *testing.T, w *world) *bayeux.Message {
			return w.session().ask(`{"channel":"/meta/unsubscribe","id":"x","clientId":"$","subscription":"/a/b/c"}`)
		}, "403:channel_segments,2:subscription_invalid"},
		{"channels", server.Limits{Channels: 6}, func(_ *testing.T, w *world) *bayeux.Message {
			c := w.session("/a") // and the server's own five
			return c.ask(`{"channel":"/b","id":"x","clientId":"$","data":1}`)
		}, "429:channels,6:limit_exceeded"},
		{"channels_per_addr", server.Limits{ChannelsPerAddr: 1}, func(_ *testing.T, w *world) *bayeux.Message {
			w.session("/a")
			return w.session().ask(`{"channel":"/b","id":"x","clientId":"$","data":1}`)
		}, "429:channels_per_addr,1:limit_exceeded"},
		{"sessions", server.Limits{Sessions: 1}, func(_ *testing.T, w *world) *bayeux.Message {
			w.session()
			return w.client().ask(`{"channel":"/meta/handshake","id":"x","version":"1.0"}`)
		}, "503:sessions,1:try_again_later"},
		{"sessions_per_addr", server.Limits{SessionsPerAddr: 1}, func(_ *testing.T, w *world) *bayeux.Message {
			w.session()
			return w.client().ask(`{"channel":"/meta/handshake","id":"x","version":"1.0"}`)
		}, "503:sessions_per_addr,1:try_again_later"},
		{"handshake_rate", server.Limits{HandshakeRate: 0.1}, func(_ *testing.T, w *world) *bayeux.Message {
			w.session()
			return w.client().ask(`{"channel":"/meta/handshake","id":"x","version":"1.0"}`)
		}, "503:handshake_rate,0.1:try_again_later"},
	}
	known := maps.Clone(unanswered)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			known[r.name] = r.says
			var told []string
			hooks := server.WithHooks(server.Hooks{Limited: func(limit string) { told = append(told, limit) }})
			breaks := func(t *testing.T, w *world) {
				told = nil
				m := r.breaks(t, w)
				assert.Equal(t, r.says, m.Error)
				assert.EqualValues(t, 1, w.Stats().Limited[r.name])
				assert.Equal(t, []string{r.name}, told)
				if m.Channel == bayeux.MetaHandshake {
					assert.Equal(t, bayeux.HandshakeAgain, m.Advice.Reconnect, "it may be tried again")
					assert.GreaterOrEqual(t, m.Advice.Interval.Or(0), time.Second)
				}
			}
			opts := []server.Option{hooks, server.WithLimits(r.limits)}
			if !strings.HasSuffix(r.name, "_per_addr") { // nobody has an address in memory
				onBoth(t, breaks, opts...)
			}
			onSockets(t, breaks, opts...)
			onCallback(t, breaks, opts...)
		})
	}
	for _, name := range limitNames(t) {
		assert.NotEmpty(t, known[name], "no row breaks %s, and nothing says why", name)
	}
}

// A burst of one second's handshakes passes, one at least, and then they pass at the
// rate.
func TestHandshakesPassInABurstOfOneSecondAndThenAtTheirRate(t *testing.T) {
	for _, c := range []struct {
		rate  float64
		burst int
		says  string
	}{
		{0.5, 1, "503:handshake_rate,0.5:try_again_later"},
		{2, 2, "503:handshake_rate,2:try_again_later"},
		{2.5, 2, "503:handshake_rate,2.5:try_again_later"},
	} {
		onBoth(t, func(t *testing.T, w *world) {
			passes := func() bool {
				m := w.client().ask(`{"channel":"/meta/handshake","id":"x","version":"1.0"}`)
				if m.Outcome == bayeux.Succeeded {
					return true
				}
				assert.Equal(t, c.says, m.Error)
				assert.Equal(t, bayeux.HandshakeAgain, m.Advice.Reconnect)
				assert.Equal(t, time.Second, m.Advice.Interval.Or(0), "when it may come again")
				return false
			}
			for _, idle := range []time.Duration{0, time.Hour} { // however long nobody comes, the burst is no larger
				time.Sleep(idle)
				for range c.burst {
					assert.True(t, passes(), "in the burst")
				}
				assert.False(t, passes(), "after it")
				for range 3 {
					time.Sleep(time.Duration(float64(time.Second)/c.rate) - time.Millisecond)
					assert.False(t, passes(), "too soon")
					time.Sleep(time.Millisecond)
					assert.True(t, passes(), "at the rate")
				}
			}
		}, server.WithLimits(server.Limits{HandshakeRate: c.rate}))
	}
}

// A connect that waits keeps its id, and many wait at once.
func TestAnIDBeyondItsLimitIsNeitherKeptNorSentBack(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session()
		long := strings.Repeat("x", 200_000)
		for _, ch := range []string{bayeux.MetaConnect, bayeux.MetaSubscribe, bayeux.MetaDisconnect, "/a", "/service/a"} {
			c.send(`{"channel":"` + ch + `","id":"` + long + `","clientId":"$"}`)
			m := c.expect(ch, "")
			assert.Equal(t, "405:id_bytes,64:message_id_invalid", m.Error, ch)
		}
		assert.NotNil(t, w.Session(c.id), "its session goes on")
		c.connect(strings.Repeat("y", 64))
	})
}

// A hook may ask the server what it likes: nothing is locked.
func TestAHookThatHearsOfALimitMayUseTheServer(t *testing.T) {
	var w *world
	asked := map[string]bool{}
	hooks := server.WithHooks(server.Hooks{Limited: func(limit string) {
		w.Stats()
		for s := range w.Sessions() {
			s.Subscriptions()
			s.Outbox().Len()
		}
		asked[limit] = true
	}})
	onBoth(t, func(t *testing.T, x *world) {
		w = x
		clear(asked)
		c := w.session("/a")
		m := c.ask(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/b"}`)
		assert.Equal(t, "429:subscriptions,1:limit_exceeded", m.Error)
		assert.True(t, asked["subscriptions"])
		if w.polling() {
			tab := w.client()
			tab.target = c.target // the same cookie
			tab.handshake()
			tab.connect("1")
			tab.connect("2")
			assert.True(t, tab.expect(bayeux.MetaConnect, "2").Advice.MultipleClients)
			assert.True(t, asked["held_per_browser"])
		}
	}, hooks, server.WithLimits(server.Limits{Subscriptions: 1}))
}

// Whoever's session ends by a limit is told which: by the close of its socket, or
// with the answer to the connect that is held or comes next.
func TestASessionClosedByALimitIsToldWhich(t *testing.T) {
	for _, c := range []struct {
		limits server.Limits
		text   string // of a close
		error  string // of an answer
	}{
		{server.Limits{SessionBytes: 900}, "session_queue: limit is 900 bytes", "402:session_queue,900:session_unknown"},
		{server.Limits{SessionMessages: 3}, "session_queue: limit is 3 messages", "402:session_queue,3:session_unknown"},
		{server.Limits{ServerBytes: 900}, "server_bytes: limit is 900 bytes", "402:server_bytes,900:session_unknown"},
	} {
		flood := func(t *testing.T, s *server.Session) {
			s.Batch(func() {
				for range 10 {
					require.NoError(t, s.Send("/a", strings.Repeat("x", 100)))
				}
			})
		}
		onSockets(t, func(t *testing.T, w *world) {
			s := w.session()
			flood(t, w.Session(s.id))
			if w.polling() {
				r := s.expect(bayeux.MetaConnect, "c2")
				assert.Equal(t, c.error, r.Error)
				assert.Equal(t, bayeux.HandshakeAgain, r.Advice.Reconnect)
				return
			}
			assert.ErrorContains(t, s.broken(), c.text)
		}, server.WithLimits(c.limits))

		var mu sync.Mutex
		var refused []string
		hooks := server.Hooks{Refused: func(_ *transport.Peer, err *bayeux.Error) {
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, err.Wire())
		}}
		onBoth(t, func(t *testing.T, w *world) {
			away := w.client()
			away.handshake()
			away.ask(`{"channel":"/meta/connect","id":"1","clientId":"$","advice":{"timeout":0}}`)
			if !w.polling() {
				away.cut()
			}
			flood(t, w.Session(away.id))
			assert.Zero(t, w.Stats().Sessions)
			r := away.ask(`{"channel":"/a","id":"2","clientId":"$","data":1}`)
			assert.Equal(t, "402::session_unknown", r.Error, "only a connect has room for advice")
			r = away.ask(`{"channel":"/meta/connect","id":"3","clientId":"$"}`)
			assert.Equal(t, c.error, r.Error)
			mu.Lock()
			assert.Equal(t, []string{"402::session_unknown", c.error}, refused, "the hook")
			mu.Unlock()
			assert.Equal(t, bayeux.HandshakeAgain, r.Advice.Reconnect)
			r = away.ask(`{"channel":"/meta/connect","id":"4","clientId":"$"}`)
			assert.Equal(t, "402::session_unknown", r.Error, "it has been told")
			assert.Zero(t, w.Stats().QueuedBytes)
			mu.Lock()
			refused = nil
			mu.Unlock()
		}, server.WithLimits(c.limits), server.WithHooks(hooks))
	}
}

func TestAFullOutboxIsCountedByItsLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.cut()
		for range 3 {
			require.NoError(t, w.Publish(t.Context(), "/a", strings.Repeat("x", 50)))
		}
		assert.Nil(t, w.Session(c.id))
		assert.EqualValues(t, 1, w.Stats().Limited["session_queue"])
		assert.Zero(t, w.Stats().QueuedBytes)
	}, server.WithLimits(server.Limits{SessionBytes: 150}))
}

func TestTheFullestSessionsGoFirstWhenTheServerIsFull(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		full, fuller, well := w.session("/a"), w.session("/a", "/b"), w.session("/a")
		full.cut()
		fuller.cut()
		require.NoError(t, w.Publish(t.Context(), "/b", strings.Repeat("x", 400)))
		for range 30 {
			require.NoError(t, w.Publish(t.Context(), "/a", strings.Repeat("x", 20)))
			well.events(1)
		}
		assert.LessOrEqual(t, w.Stats().QueuedBytes, 1500+100)
		assert.Nil(t, w.Session(fuller.id))
		assert.NotNil(t, w.Session(well.id))
		assert.NotZero(t, w.Stats().Limited["server_bytes"])
	}, server.WithLimits(server.Limits{ServerBytes: 1500}))
}

// late runs what it is given to run when begin is closed: no goroutine need
// begin before others go on.
type late struct {
	transport.Acceptor
	begin chan struct{}
}

func (l late) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	slow := *o
	slow.Go = func(f func()) bool { return o.Go(func() { <-l.begin; f() }) }
	l.Acceptor.Serve(w, r, &slow, serve)
}

func TestASocketCountsAsAConnectionBeforeItsGoroutineBegins(t *testing.T) {
	l := late{wsserver.NewAcceptor(), make(chan struct{})}
	srv, err := server.New(server.WithTransports(l, longpoll.NewAcceptor()), server.WithLimits(server.Limits{Conns: 1}))
	require.NoError(t, err)
	defer srv.Close()
	handled := make(chan struct{}, 1)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		srv.ServeHTTP(w, r)
		if r.Header.Get("Upgrade") != "" {
			handled <- struct{}{}
		}
	}))
	defer hs.Close()
	done := make(chan error, 1)
	go func() {
		ws, _, err := websocket.Dial(t.Context(), hs.URL, nil)
		if err == nil {
			ws.CloseNow()
		}
		done <- err
	}()
	<-handled
	status, _ := post(t, hs.URL, `[]`)
	assert.Equal(t, 503, status)
	close(l.begin)
	require.NoError(t, <-done)
	require.Eventually(t, func() bool { status, _ := post(t, hs.URL, `[]`); return status == 400 }, 5*time.Second, 5*time.Millisecond)
}

// closing is closed before the socket has a goroutine.
type closing struct {
	transport.Acceptor
	close func() error
}

func (c *closing) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	late := *o
	late.Go = func(f func()) bool { c.close(); return o.Go(f) }
	c.Acceptor.Serve(w, r, &late, serve)
}

func TestASocketThatComesWhileTheServerClosesIsToldSo(t *testing.T) {
	c := &closing{Acceptor: wsserver.NewAcceptor()}
	srv, err := server.New(server.WithTransports(c))
	require.NoError(t, err)
	c.close = srv.Close
	hs := httptest.NewServer(srv)
	defer hs.Close()
	ws, _, err := websocket.Dial(t.Context(), hs.URL, nil)
	require.NoError(t, err)
	defer ws.CloseNow()
	_, _, err = ws.Read(t.Context())
	assert.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
}

func TestConnectionsBeyondTheLimitGet503(t *testing.T) {
	for _, c := range []struct {
		limit, says string
		limits      server.Limits
	}{
		{"conns", "cometd: too many connections: limit 1\n", server.Limits{Conns: 1}},
		{"conns_per_addr", "cometd: too many connections from one address: limit 1\n", server.Limits{ConnsPerAddr: 1}},
	} {
		srv, err := cometd.NewServer(server.WithLimits(c.limits))
		require.NoError(t, err)
		hs := httptest.NewServer(srv)
		ws, _, err := websocket.Dial(t.Context(), hs.URL, nil)
		require.NoError(t, err)
		resp, err := http.Post(hs.URL, "application/json", strings.NewReader(`[]`))
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, 503, resp.StatusCode)
		assert.Equal(t, "1", resp.Header.Get("Retry-After"))
		assert.Equal(t, c.says, string(text), "which of the two")
		assert.EqualValues(t, 1, srv.Stats().Limited[c.limit])
		ws.CloseNow()
		require.Eventually(t, func() bool { status, _ := post(t, hs.URL, `[]`); return status == 400 }, 5*time.Second, 5*time.Millisecond)
		srv.Close()
		hs.Close()
	}
}

func TestASocketThatNeverHandshakesIsClosed(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.client()
		begin := time.Now()
		for range 5 {
			c.ask(`{"channel":"/meta/connect","id":"1","clientId":"nope"}`)
			time.Sleep(time.Second)
		}
		var e *transport.Error
		require.ErrorAs(t, c.broken(), &e)
		assert.Equal(t, transport.Idle, e.Reason)
		assert.Less(t, time.Since(begin), 12*time.Second)
		assert.EqualValues(t, 1, w.Stats().Limited["handshake"])
	})
}

func TestAPeerThatOnlyAsksIsMadeToWait(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		conn, err := w.client().dialer.Dial(t.Context(), w.client().target)
		require.NoError(t, err)
		done := make(chan struct{})
		go func() { // never reads
			defer close(done)
			m := []byte(`{"channel":"/foo","id":"` + strings.Repeat("x", 900) + `","clientId":"nope"}`)
			for range 10_000 {
				if conn.Send(&transport.Payload{Messages: [][]byte{m}}) != nil {
					return
				}
			}
		}()
		time.Sleep(5 * time.Second)
		select {
		case <-done:
			assert.Fail(t, "10 MB of questions were taken, and their answers are in memory")
		default:
		}
		conn.Close(transport.Normal)
		<-done
	})
}

// Answers that nobody reads are in the server's budget: the sockets with the
// most of them are closed, and nobody else.
func TestAnswersThatNobodyReadsCountInTheServersBudget(t *testing.T) {
	const limit = 300 << 10
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		well := w.session("/a")
		m := []byte(`{"channel":"/` + strings.Repeat("x", 1000) + `","id":"1","clientId":"nope"}`)
		var asking sync.WaitGroup
		var conns []transport.Conn
		for range 10 {
			conn, err := w.client().dialer.Dial(t.Context(), well.target)
			require.NoError(t, err)
			conns = append(conns, conn)
			asking.Go(func() { // never reads
				for range 1000 {
					if conn.Send(&transport.Payload{Messages: [][]byte{m}}) != nil {
						return
					}
				}
			})
		}
		time.Sleep(2 * time.Second)
		st := w.Stats()
		assert.InDelta(t, limit, st.QueuedBytes, limit/2)
		assert.Less(t, st.QueuedBytes, limit+2000)
		assert.NotZero(t, st.Limited["server_bytes"])
		assert.Less(t, st.Limited["server_bytes"], uint64(10), "some room was enough")
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, []string{"1"}, well.data(1))
		for _, c := range conns {
			c.Close(transport.Normal)
		}
		asking.Wait()
		well.cut()
		assert.Zero(t, w.Stats().QueuedBytes, "it balances")
	}, server.WithLimits(server.Limits{ServerBytes: limit}))
}
