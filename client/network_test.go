//go:build !js

package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/internal/fault"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A network of real sockets that cuts, stalls and half-opens: what arrives is
// in order and comes once, what does not is told by a Gap, and afterwards all
// goes on.
func TestABadNetworkOfRealSockets(t *testing.T) {
	for name, plan := range map[string]fault.Plan{
		"cut":       fault.Random(1, 3<<10, fault.Cut),
		"stall":     fault.Random(2, 1<<10, fault.Stall, fault.Delay),
		"half-open": fault.Random(3, 4<<10, fault.HalfOpen),
		"all":       fault.Random(4, 4<<10, fault.Cut, fault.HalfOpen, fault.Stall),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overEach(t, func(t *testing.T, d transport.Dialer) {
				srv, at := serve(t, server.WithTiming(server.Timing{Timeout: 200 * time.Millisecond}))
				proxy, err := fault.NewProxy(hostOf(t, at), plan)
				require.NoError(t, err)
				defer proxy.Close()
				c, err := client.New(proxy.URL()+"/cometd", client.WithTransports(d), client.WithBackoff(10*time.Millisecond, 50*time.Millisecond),
					client.WithTimeouts(client.Timeouts{Open: 300 * time.Millisecond, NetworkDelay: 300 * time.Millisecond, Close: 100 * time.Millisecond}))
				require.NoError(t, err)
				defer func() { c.Close(); <-c.Done() }()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()

				var last, gaps atomic.Int64
				last.Store(-1)
				gap := true // the first may be any
				// What answers a connect that was given up may be missing a moment later (client.Gap).
				polls, told := d.Type() == bayeux.LongPolling, time.Time{}
				_, err = c.SubscribeFunc(ctx, "/n", client.Typed(func(_ context.Context, n int64) error {
					before := last.Swap(n)
					assert.Greater(t, n, before, "repeated, or out of order")
					assert.True(t, gap || n == before+1 || polls && time.Since(told) < time.Second, "from %d to %d without a gap", before, n)
					gap = false
					return nil
				}), client.WithOnGap(func(client.Gap) { gap, told = true, time.Now(); gaps.Add(1) }))
				require.NoError(t, err)

				n := int64(0)
				for began := time.Now(); time.Since(began) < 800*time.Millisecond; n++ {
					require.NoError(t, srv.Publish(ctx, "/n", n))
					time.Sleep(5 * time.Millisecond) // a feed
				}
				proxy.Calm()
				proxy.Cut()
				for ; last.Load() < n-1 || n == 0; n++ {
					require.NoError(t, ctx.Err(), "deliveries did not resume")
					require.NoError(t, srv.Publish(ctx, "/n", n))
					time.Sleep(20 * time.Millisecond)
				}
				t.Logf("%d messages, %d gaps, %d reconnects", n, gaps.Load(), c.Stats().Reconnects)
			})
		})
	}
}

// A network that is away for a while: publishes wait for it, none is repeated.
func TestPublishesWaitForTheNetwork(t *testing.T) {
	overEach(t, func(t *testing.T, d transport.Dialer) {
		srv, at := serve(t)
		got := make(chan string, 10)
		srv.Handle("/p", func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			got <- string(m.Data)
			return nil
		})
		proxy, err := fault.NewProxy(hostOf(t, at), nil)
		require.NoError(t, err)
		defer proxy.Close()
		c := dial(t, proxy.URL()+"/cometd", client.WithTransports(d), client.WithBackoff(10*time.Millisecond, 50*time.Millisecond))
		proxy.Down()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		states := make(chan struct{})
		go func() {
			defer close(states)
			for ch := range c.States(ctx) {
				if ch.To.String() == "unconnected" {
					return
				}
			}
		}()
		<-states
		outcomes := make(chan error, 3)
		for i := range 3 {
			require.NoError(t, c.PublishFunc("/p", i, func(err error) { outcomes <- err }))
		}
		proxy.Up()
		for i := range 3 {
			assert.NoError(t, <-outcomes)
			assert.Equal(t, fmt.Sprint(i), <-got)
		}
		assert.Empty(t, got)
	})
}

func hostOf(t *testing.T, raw string) string {
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u.Host
}

// A password in the URL, or what its query says, is in no error and no log.
func TestSecretsInTheURLAreNotShown(t *testing.T) {
	overEach(t, func(t *testing.T, d transport.Dialer) {
		var log bytes.Buffer
		c, err := client.New("http://user:secret@127.0.0.1:1/cometd?token=secret&secret", client.WithTransports(d),
			client.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for ch := range c.States(ctx) {
			if ch.Err != nil {
				break // an attempt has failed
			}
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err = c.Wait(ctx)
		assert.ErrorContains(t, err, "refused")
		assert.NotContains(t, err.Error(), "internal error")
		c.Close()
		<-c.Done()
		for _, text := range []string{err.Error(), c.String(), log.String()} {
			assert.NotContains(t, text, "secret")
			assert.Contains(t, text, "127.0.0.1:1/cometd?token=xxxxx&xxxxx")
		}
	})
}

// A balancer's cookie that leads to a node which knows no session is given up
// when handshakes keep coming to nothing.
func TestAStaleStickyCookieIsGivenUp(t *testing.T) {
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	defer srv.Close()
	var stale atomic.Int32
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie("node"); err == nil && cookie.Value == "dead" {
			stale.Add(1)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `[{"channel":"/meta/connect","successful":false,"error":"403::Unknown client","advice":{"reconnect":"handshake"}}]`)
			return
		}
		if stale.Load() == 0 { // the first answer leads astray
			w.Header().Add("Set-Cookie", "node=dead; Path=/")
		}
		srv.ServeHTTP(w, r)
	}))
	defer hs.Close()
	c, err := client.New(hs.URL+"/cometd", client.WithTransports(longpoll.NewDialer()), client.WithBackoff(time.Millisecond, 10*time.Millisecond))
	require.NoError(t, err)
	defer func() { c.Close(); <-c.Done() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, c.Wait(ctx))
	assert.LessOrEqual(t, stale.Load(), int32(4))
}

// A cluster sends each client to a node of its own by a cookie, the first of which
// may fall ill.
type cluster struct {
	url   string
	ill   atomic.Bool
	nodes atomic.Int32 // that clients were sent to
}

func newCluster(t *testing.T, timeout time.Duration, sick http.HandlerFunc) *cluster {
	srv, err := cometd.NewServer(server.WithTiming(server.Timing{Timeout: timeout}))
	require.NoError(t, err)
	t.Cleanup(func() { srv.Close() })
	x := new(cluster)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("node")
		switch {
		case err != nil:
			http.SetCookie(w, &http.Cookie{Name: "node", Value: fmt.Sprint(x.nodes.Add(1)), Path: "/"})
		case x.ill.Load() && cookie.Value == "1":
			sick(w, r)
			return
		}
		srv.ServeHTTP(w, r)
	}))
	t.Cleanup(hs.Close)
	x.url = hs.URL
	return x
}

// hang answers nothing.
func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body) // else nobody notices that the client has gone
	<-r.Context().Done()
}

// awaitOther waits until c has another session than before, at the second node.
func (x *cluster) awaitOther(t *testing.T, c *client.Client, before string) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for ch := range c.States(ctx) {
		if ch.To == bayeux.Connected && ch.Session != before {
			break
		}
	}
	require.NoError(t, ctx.Err())
	assert.EqualValues(t, 2, x.nodes.Load())
}

// The node that a sticky cookie leads to may hang: the next session is made
// without the cookie.
func TestAStickyCookieOfANodeThatHangsIsGivenUp(t *testing.T) {
	x := newCluster(t, 50*time.Millisecond, hang)
	c := dial(t, x.url+"/cometd", client.WithTransports(longpoll.NewDialer()), client.WithBackoff(time.Millisecond, 10*time.Millisecond),
		client.WithTimeouts(client.Timeouts{NetworkDelay: time.Second}))
	before := c.ID()
	x.ill.Store(true)
	x.awaitOther(t, c, before)
}

// So it is given up by a client of streams, alone or with long-polling behind them,
// whose connections all end: what answers for the node may also be a balancer.
func TestTheStickyCookieOfASickNodeIsGivenUpWhereStreamsBreak(t *testing.T) {
	for name, sick := range map[string]http.HandlerFunc{
		"hangs":       hang,
		"answers 503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
	} {
		for with, tt := range map[string]struct {
			transports []transport.Dialer
			open       time.Duration
		}{
			"with long-polling": {[]transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()}, 900 * time.Millisecond}, // an upgrade has a third
			"alone":             {[]transport.Dialer{wsclient.NewDialer()}, 300 * time.Millisecond},
		} {
			t.Run(name+", "+with, func(t *testing.T) {
				x := newCluster(t, 300*time.Millisecond, sick)
				proxy, err := fault.NewProxy(hostOf(t, x.url), nil)
				require.NoError(t, err)
				defer proxy.Close()
				c := dial(t, proxy.URL()+"/cometd", client.WithTransports(tt.transports...), client.WithBackoff(time.Millisecond, 10*time.Millisecond),
					client.WithTimeouts(client.Timeouts{Open: tt.open, NetworkDelay: 300 * time.Millisecond}))
				before := c.ID()
				x.ill.Store(true)
				proxy.Cut()
				x.awaitOther(t, c, before)
			})
		}
	}
}

// A proxy whose server restarts says so with 503 to an upgrade too: that is no
// reason to do without WebSocket, or to give the session up, unless it goes on.
func TestAnUpgradeThatIsRefusedForNowIsTriedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		refusals int32
		want     string
	}{
		"once":     {1, bayeux.WebSocket},
		"for ever": {1 << 30, bayeux.LongPolling},
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := cometd.NewServer()
			require.NoError(t, err)
			defer srv.Close()
			var left atomic.Int32
			hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") != "" && left.Add(-1) >= 0 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				srv.ServeHTTP(w, r)
			}))
			defer hs.Close()
			proxy, err := fault.NewProxy(hostOf(t, hs.URL), nil)
			require.NoError(t, err)
			defer proxy.Close()
			c := dial(t, proxy.URL()+"/cometd", client.WithBackoff(time.Millisecond, 10*time.Millisecond))
			before, changes := c.ID(), c.Stats().Reconnects
			left.Store(tt.refusals)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			events := c.Events(ctx) // from now on
			proxy.Cut()
			lost := false
			for ev := range events {
				ch, ok := ev.(client.Change)
				if !ok {
					continue
				}
				lost = lost || ch.To == bayeux.Unconnected
				if lost && ch.To == bayeux.Connected {
					break
				}
			}
			require.NoError(t, ctx.Err())
			assert.Equal(t, tt.want, c.Stats().Transport)
			assert.Greater(t, c.Stats().Reconnects, changes)
			assert.Equal(t, tt.want == bayeux.WebSocket, c.ID() == before, "the same session")
		})
	}
}

// With HTTP/2 a request that is given up leaves its connection, on whose way
// everything may vanish: the next one goes another.
func TestNudgeFindsADeadHTTP2ConnectionWithinTwoSeconds(t *testing.T) {
	findsADeadHTTP2Connection(t, nil, (*client.Client).Nudge)
}

// The program's own http.DefaultTransport may say how soon.
func TestPingsFindADeadHTTP2Connection(t *testing.T) {
	findsADeadHTTP2Connection(t, &http.HTTP2Config{SendPingTimeout: 100 * time.Millisecond, PingTimeout: 300 * time.Millisecond}, func(*client.Client) {})
}

func findsADeadHTTP2Connection(t *testing.T, pings *http.HTTP2Config, afterwards func(*client.Client)) {
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	defer srv.Close()
	var protocol atomic.Int32
	hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol.Store(int32(r.ProtoMajor))
		srv.ServeHTTP(w, r)
	}))
	hs.EnableHTTP2 = true
	hs.StartTLS()
	defer hs.Close()
	proxy, err := fault.NewProxy(hostOf(t, hs.URL), nil)
	require.NoError(t, err)
	defer proxy.Close()

	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	own := hs.Client().Transport.(*http.Transport).Clone() // with its certificate
	own.HTTP2 = pings
	http.DefaultTransport = own
	c := dial(t, "https://"+proxy.Addr()+"/cometd", client.WithTransports(longpoll.NewDialer()), client.WithBackoff(10*time.Millisecond, 50*time.Millisecond))
	require.EqualValues(t, 2, protocol.Load())
	session := c.ID()
	proxy.HalfOpen()
	began := time.Now()
	afterwards(c)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	lost := false
	for ch := range c.States(ctx) {
		lost = lost || ch.To == bayeux.Unconnected
		if lost && ch.To == bayeux.Connected {
			break
		}
	}
	require.NoError(t, ctx.Err())
	assert.Less(t, time.Since(began), 5*time.Second, "two are all it needs")
	assert.Equal(t, session, c.ID())
	c.Close()
}

type counting struct {
	http.RoundTripper
	n atomic.Int32
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// The user's own RoundTripper, with its TLS, carries both transports.
func TestAnOwnRoundTripperAndTLS(t *testing.T) {
	overEach(t, func(t *testing.T, d transport.Dialer) {
		srv, err := cometd.NewServer()
		require.NoError(t, err)
		defer srv.Close()
		hs := httptest.NewTLSServer(srv)
		defer hs.Close()
		own := &counting{RoundTripper: hs.Client().Transport}
		c := dial(t, hs.URL+"/cometd", client.WithTransports(d), client.WithHTTPClient(&http.Client{Transport: own}),
			client.WithAccessToken(client.Basic("user", "")))
		require.NoError(t, c.Publish(t.Context(), "/a", 1))
		assert.Positive(t, own.n.Load())
		c.Close()
	})
}
