package server_test

import (
	"context"
	"encoding/json"
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
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// fill queues n messages on /a, which together need several frames.
func (w *world) fill(n int) {
	w.t.Helper()
	for i := range n {
		require.NoError(w.t, w.Publish(w.t.Context(), "/a", fmt.Sprint(i, strings.Repeat("x", 300))))
	}
}

// shutdown begins Shutdown, and returns what waits for its end.
func (w *world) shutdown(ctx context.Context) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- w.Shutdown(ctx) }()
	w.settle()
	return func() error {
		select {
		case err := <-done:
			return err
		case <-time.After(time.Minute):
			require.FailNow(w.t, "Shutdown does not end")
			return nil
		}
	}
}

func TestShutdownDeliversAllThatIsQueuedHoweverItLeaves(t *testing.T) {
	for name, opts := range map[string][]server.Option{
		"by itself":     nil,
		"with connects": {server.WithConnectOnly()},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				c := w.session("/a")
				w.fill(2000)
				wait := w.shutdown(t.Context())
				for i, m := range c.events(2000) {
					require.True(t, strings.HasPrefix(string(m.Data), fmt.Sprintf(`"%dx`, i)), "%d: %.20s", i, m.Data)
				}
				require.NoError(t, wait())
				assert.Zero(t, w.Stats().QueuedBytes)
			}, opts...)
		})
	}
}

func TestOurClientGetsAllThatIsQueuedWhenItsServerShutsDown(t *testing.T) {
	for _, d := range []transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()} {
		for name, exts := range map[string][]client.Option{"plain": nil, "acknowledging": {client.WithExtension(ack.Client())}} {
			t.Run(d.Type()+" "+name, func(t *testing.T) {
				w := newRealWorld(t, d.Type(), server.WithExtension(ackserver.New()))
				defer w.end()
				c, err := cometd.New(w.http.URL, append(exts, client.WithTransports(d), client.WithHTTPClient(&http.Client{Transport: &http.Transport{}}))...)
				require.NoError(t, err)
				defer c.Close()
				got := make(chan struct{}, 2000)
				_, err = c.SubscribeFunc(t.Context(), "/a", func(context.Context, *bayeux.Message) error { got <- struct{}{}; return nil })
				require.NoError(t, err)
				w.fill(2000)
				require.NoError(t, w.shutdown(t.Context())())
				for i := range 2000 {
					select {
					case <-got:
					case <-time.After(20 * time.Second):
						require.FailNow(t, "messages are lost", "%d of 2000 came", i)
					}
				}
			})
		}
	}
}

func TestShutdownDoesNotWaitForLongForWhoDoesNotComeBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.session("/a").cut()
		c := w.session("/a")
		c.send(`{"channel":"/meta/connect","id":"slow","clientId":"$","advice":{"timeout":0,"interval":3600000}}`)
		c.cut()
		w.fill(2)
		begin := time.Now()
		require.NoError(t, w.Shutdown(t.Context()))
		assert.GreaterOrEqual(t, time.Since(begin), 2*time.Second)
		assert.Less(t, time.Since(begin), 8*time.Second)
	})
}

func TestShutdownWaitsForAClientThatPausesBetweenTwoPolls(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c := w.session("/a")
		w.fill(1)
		c.events(1)
		c.expect(bayeux.MetaConnect, "c2")
		w.fill(1000)
		wait := w.shutdown(t.Context())
		time.Sleep(9 * time.Second)
		c.connect("c3")
		c.events(1000)
		require.NoError(t, wait())
	}, server.WithTiming(server.Timing{Interval: 10 * time.Second}))
}

func TestShutdownEndsWithItsContextWhoeverIsWaitedFor(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.session("/a").cut()
		w.fill(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		assert.ErrorIs(t, w.Shutdown(ctx), context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(begin))
	})
}

func TestShutdownAdvisesWhereToGoOnceAllHasArrived(t *testing.T) {
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c, other := w.session("/a"), w.client()
		w.fill(1)
		c.events(1)
		c.expect(bayeux.MetaConnect, "c2")
		w.fill(300) // two frames
		wait := w.shutdown(t.Context())

		refused := other.ask(`{"channel":"/meta/handshake","id":"h","version":"1.0","supportedConnectionTypes":["long-polling"]}`)
		assert.Equal(t, bayeux.HandshakeAgain, refused.Advice.Reconnect)
		assert.Equal(t, []string{"b.example.com"}, refused.Advice.Hosts)

		c.connect("c3")
		more := c.expect(bayeux.MetaConnect, "c3").Advice
		assert.Equal(t, bayeux.Retry, more.Reconnect)
		assert.Zero(t, more.Interval.Or(time.Hour), "the rest is still here")
		assert.Empty(t, more.Hosts)
		c.connect("c4")
		last := c.expect(bayeux.MetaConnect, "c4").Advice
		assert.LessOrEqual(t, last.Interval.Or(time.Hour), 3*time.Millisecond, "the two of them need not wait for each other")
		assert.Equal(t, []string{"b.example.com"}, last.Hosts)
		assert.Len(t, c.data(300), 300)
		require.NoError(t, wait())
	}, server.WithShutdownHosts("b.example.com"))
}

// Nobody asks a server that is leaving without a pause, whatever it makes of
// the interval advised.
func TestWhoComesBackWhileTheServerIsLeavingIsHeldShortly(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		idle, busy := w.session(), w.session("/a")
		busy.cut()
		w.fill(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wait := w.shutdown(ctx)
		idle.expect(bayeux.MetaConnect, "c2")
		begin := time.Now()
		idle.connect("c3")
		idle.expect(bayeux.MetaConnect, "c3")
		assert.Equal(t, 100*time.Millisecond, time.Since(begin))
		assert.ErrorIs(t, wait(), context.DeadlineExceeded)
	})
}

// A client that polls finds the next server only over another connection.
func TestWhoPollsLeavesItsConnectionWithAServerThatShutsDown(t *testing.T) {
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	ask := func(body string) (m bayeux.Message, closed bool) {
		r, err := browser.Post(hs.URL, "application/json", strings.NewReader(body))
		if !assert.NoError(t, err) {
			return m, false
		}
		defer r.Body.Close()
		var ms []bayeux.Message
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&ms))
		assert.Len(t, ms, 1)
		return ms[0], r.Close
	}
	connect := func(id string) string {
		return `[{"channel":"/meta/connect","connectionType":"long-polling","clientId":"` + id + `"}]`
	}
	hello, closed := ask(`[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]`)
	assert.False(t, closed)
	_, closed = ask(connect(hello.ClientID))
	assert.False(t, closed)
	told := make(chan bool, 1)
	go func() {
		_, closed := ask(connect(hello.ClientID))
		told <- closed
	}()
	require.Eventually(t, func() bool { return srv.Stats().Held == 1 }, time.Minute, time.Millisecond)
	require.NoError(t, srv.Shutdown(t.Context()))
	assert.True(t, <-told)
	browser.CloseIdleConnections()
}

func TestAServerThatIsClosedKeepsNobodysConnection(t *testing.T) {
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	srv.Close()
	for method, header := range map[string]http.Header{
		http.MethodPost: {},
		http.MethodGet:  {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}},
	} {
		r, err := http.NewRequestWithContext(t.Context(), method, hs.URL, nil)
		require.NoError(t, err)
		r.Header = header
		resp, err := hs.Client().Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		assert.True(t, resp.Close, "it may lead to the next server")
	}
}
