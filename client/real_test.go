//go:build !js

package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/gocometd/cometd/wsclient"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve runs our server on a loopback listener.
func serve(t testing.TB, opts ...server.Option) (*server.Server, string) {
	t.Helper()
	srv, err := cometd.NewServer(opts...)
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	t.Cleanup(func() {
		srv.Close()
		hs.Close()
	})
	return srv, hs.URL + "/cometd"
}

func dial(t testing.TB, url string, opts ...client.Option) *client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := cometd.Dial(ctx, url, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c
}

func overEach(t *testing.T, run func(t *testing.T, d transport.Dialer)) {
	for _, d := range []transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()} {
		t.Run(d.Type(), func(t *testing.T) { run(t, d) })
	}
}

func TestOverRealSockets(t *testing.T) {
	overEach(t, func(t *testing.T, d transport.Dialer) {
		srv, url := serve(t)
		srv.HandleService("/service/add", server.Typed(func(_ context.Context, _ *server.Session, r [2]int) (int, error) {
			if r[1] < 0 {
				return 0, bayeux.Errorf(400, "negative")
			}
			return r[0] + r[1], nil
		}))
		a := dial(t, url, client.WithTransports(d))
		b := dial(t, url, client.WithTransports(d))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		sub, err := b.Subscribe(ctx, "/chat/*")
		require.NoError(t, err)
		for i := range 200 {
			require.NoError(t, a.Publish(ctx, "/chat/room", i))
		}
		i := 0
		for m := range sub.Messages(ctx) {
			require.Equal(t, fmt.Sprint(i), string(m.Data))
			if i++; i == 200 {
				break
			}
		}
		sum, err := client.Call[int](ctx, a, "/service/add", [2]int{1, 2})
		require.NoError(t, err)
		assert.Equal(t, 3, sum)
		_, err = client.Call[int](ctx, a, "/service/add", [2]int{1, -2})
		var refusal *bayeux.Error
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, 400, refusal.Code)
		require.NoError(t, sub.Unsubscribe(ctx))
		assert.Equal(t, d.Type(), a.Stats().Transport)
	})
}

// A server that goes away and comes back at the same address is found again,
// and everything goes on by itself.
func TestAClientFindsItsServerAgainAfterARestart(t *testing.T) {
	overEach(t, func(t *testing.T, d transport.Dialer) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addr := ln.Addr().String()
		up := func(ln net.Listener) (*server.Server, *http.Server) {
			srv, err := cometd.NewServer()
			require.NoError(t, err)
			hs := &http.Server{Handler: srv}
			go hs.Serve(ln)
			return srv, hs
		}
		srv, hs := up(ln)
		var gaps atomic.Int32
		c := dial(t, "http://"+addr, client.WithTransports(d), client.WithBackoff(10*time.Millisecond, 100*time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		sub, err := c.Subscribe(ctx, "/a", client.WithOnGap(func(client.Gap) { gaps.Add(1) }))
		require.NoError(t, err)
		first := c.ID()

		srv.Close()
		hs.Close()
		time.Sleep(200 * time.Millisecond) // down for a while
		ln, err = net.Listen("tcp", addr)
		require.NoError(t, err)
		srv, hs = up(ln)
		defer hs.Close()
		defer srv.Close()

		require.NoError(t, c.Publish(ctx, "/a", "again"))
		for m := range sub.Messages(ctx) {
			assert.Equal(t, `"again"`, string(m.Data))
			break
		}
		require.NoError(t, ctx.Err())
		assert.NotEqual(t, first, c.ID())
		assert.NotZero(t, gaps.Load())
	})
}

// Credentials, headers and cookies go with every request, the upgrade included.
func TestHeadersOverBothTransports(t *testing.T) {
	overEach(t, func(t *testing.T, d transport.Dialer) {
		srv, err := cometd.NewServer()
		require.NoError(t, err)
		defer srv.Close()
		var requests atomic.Int32
		hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			assert.Equal(t, "Bearer secret", r.Header.Get("Authorization"))
			assert.Equal(t, "yes", r.Header.Get("X-App"))
			cookie, err := r.Cookie("balancer")
			assert.NoError(t, err)
			if err == nil {
				assert.Equal(t, "node-7", cookie.Value)
			}
			srv.ServeHTTP(w, r)
		}))
		defer hs.Close()
		c := dial(t, hs.URL, client.WithTransports(d), client.WithAccessToken(client.Bearer("secret")),
			client.WithHeader("X-App", "yes"), client.WithCookies(&http.Cookie{Name: "balancer", Value: "node-7", Path: "/"}))
		require.NoError(t, c.Publish(t.Context(), "/a", 1))
		assert.Positive(t, requests.Load())
		c.Close()
	})
}

// What a server sets comes back as it was, over HTTP and with the upgrade.
func TestCookiesAreVerbatimOverBothTransports(t *testing.T) {
	const odd = `a,b {"c": "d\e"}`
	overEach(t, func(t *testing.T, d transport.Dialer) {
		srv, err := cometd.NewServer()
		require.NoError(t, err)
		defer srv.Close()
		seen := make(chan []string, 16)
		hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case seen <- r.Header["Cookie"]:
			default:
			}
			w.Header().Add("Set-Cookie", "odd="+odd+"; Path=/; HttpOnly")
			srv.ServeHTTP(w, r)
		}))
		ln := &cutListener{Listener: hs.Listener}
		hs.Listener = ln
		hs.Start()
		defer hs.Close()
		c := dial(t, hs.URL, client.WithTransports(d), client.WithBackoff(10*time.Millisecond, time.Second))
		assert.Empty(t, <-seen)
		ln.cut()
		select {
		case cookies := <-seen:
			require.Len(t, cookies, 1)
			assert.Contains(t, strings.Split(cookies[0], "; "), "odd="+odd)
		case <-time.After(20 * time.Second):
			assert.Fail(t, "no second request")
		}
		c.Close()
	})
}

// A proxy that knows no WebSocket, a redirect, an error page: long-polling at
// once, and the state says why.
func TestUpgradesThatFail(t *testing.T) {
	for name, refuse := range map[string]http.HandlerFunc{
		"404":      http.NotFound,
		"200":      func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>") },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"cut": func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := cometd.NewServer()
			require.NoError(t, err)
			defer srv.Close()
			hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") != "" {
					refuse(w, r)
					return
				}
				srv.ServeHTTP(w, r)
			}))
			defer hs.Close()
			c := dial(t, hs.URL)
			defer c.Close()
			stats := c.Stats()
			assert.Equal(t, bayeux.LongPolling, stats.Transport)
			assert.Error(t, stats.Err)
			if name == "redirect" {
				assert.ErrorContains(t, stats.Err, "/elsewhere")
			}
			require.NoError(t, c.Publish(t.Context(), "/a", 1))
		})
	}
}

// HTTP 401 asks for a new token, on either transport, and nothing is lost.
func TestATokenThatExpires(t *testing.T) {
	overEach(t, func(t *testing.T, d transport.Dialer) {
		srv, err := cometd.NewServer()
		require.NoError(t, err)
		defer srv.Close()
		var valid atomic.Value
		valid.Store("Bearer 1")
		hs := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != valid.Load() {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			srv.ServeHTTP(w, r)
		}))
		ln := &cutListener{Listener: hs.Listener}
		hs.Listener = ln
		hs.Start()
		defer hs.Close()
		var asked atomic.Int32
		c := dial(t, hs.URL, client.WithTransports(d), client.WithBackoff(10*time.Millisecond, time.Second),
			client.WithTokenSource(func(context.Context) (client.AccessToken, error) {
				return client.Bearer(fmt.Sprint(asked.Add(1))), nil
			}))
		valid.Store("Bearer 2")
		ln.cut()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for err = c.Publish(ctx, "/a", 1); errors.Is(err, client.ErrLost); err = c.Publish(ctx, "/a", 1) {
		}
		require.NoError(t, err)
		assert.EqualValues(t, 2, asked.Load())
		c.Close()
	})
}

// A cutListener can cut all that it has accepted, hijacked or not.
type cutListener struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *cutListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	return c, err
}

func (l *cutListener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		if c != nil {
			c.Close()
		}
	}
	l.conns = nil
}

// Hours with our own server, in fake time: nothing is lost, doubled or
// reordered, and one session lasts.
func TestHoursWithOurServer(t *testing.T) {
	for _, poll := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv, err := cometd.NewServer()
			require.NoError(t, err)
			defer srv.Close()
			var d transport.Dialer = memory.NewDialer(srv.ServeConn)
			if poll {
				d = memory.NewPollDialer(srv.ServeConn)
			}
			c, err := client.Dial(t.Context(), "http://test/cometd", client.WithTransports(d))
			require.NoError(t, err)
			defer func() { c.Close(); <-c.Done() }()
			id := c.ID()
			got := 0
			_, err = c.SubscribeFunc(t.Context(), "/n", client.Typed(func(_ context.Context, n int) error {
				assert.Equal(t, got, n)
				got++
				return nil
			}))
			require.NoError(t, err)
			for n := range 1000 {
				require.NoError(t, srv.Publish(t.Context(), "/n", n))
				time.Sleep(time.Duration(n%60) * time.Second)
			}
			synctest.Wait()
			assert.Equal(t, 1000, got)
			assert.Equal(t, id, c.ID())
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Zero(t, c.Stats().Reconnects)
		})
	}
}
