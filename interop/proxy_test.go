//go:build interop

package interop

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/internal/fault"
)

// These scenarios have a session of their own: our client's, with something bad
// between it and the server.

// stallTime is the longest that a real server holds a connect, what the client
// waits beyond, and time to come back.
const stallTime = 100 * time.Second

// cuts breaks all connections, again and again: fewer times than backoff has patience.
func (r *run) cuts(t *testing.T) {
	r.throughProxy(t, func(proxy *fault.Proxy) {
		for range 3 {
			require.NotZero(t, proxy.Cut(), "connections")
			r.alive(t)
		}
	})
}

// stalls makes all connections half-open: nobody is told.
func (r *run) stalls(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), stallTime)
	defer cancel()
	r.ctx = ctx
	r.throughProxy(t, func(proxy *fault.Proxy) {
		require.NotZero(t, proxy.HalfOpen(), "connections")
		r.alive(t)
	})
}

// noUpgrade lets no WebSocket through: the client is to take long-polling.
func (r *run) noUpgrade(t *testing.T) {
	target, err := url.Parse(r.server.URL())
	require.NoError(t, err)
	onward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: target.Scheme, Host: target.Host})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Upgrade") != "" {
			http.Error(w, "no upgrades here", http.StatusForbidden)
			return
		}
		onward.ServeHTTP(w, req)
	}))
	defer front.Close()
	p, err := newOurs(front.URL+target.Path, "long-polling", client.WithTransports(r.dialer("websocket"), r.dialer("long-polling")))
	require.NoError(t, err)
	r.with(t, p, func() { r.alive(t) })
}

// throughProxy runs scenario with a session that goes through a proxy.
func (r *run) throughProxy(t *testing.T, scenario func(*fault.Proxy)) {
	target, err := url.Parse(r.server.URL())
	require.NoError(t, err)
	proxy, err := fault.NewProxy(target.Host, nil)
	require.NoError(t, err)
	defer proxy.Close()
	p, err := newOurs(proxy.URL()+target.Path, r.transport, client.WithTransports(r.dialer(r.transport)),
		client.WithTimeouts(client.Timeouts{NetworkDelay: 3 * time.Second}))
	require.NoError(t, err)
	r.with(t, p, func() { scenario(proxy) })
}

const there, back = "/interop/there", "/interop/back"

// with puts p in the place of the peer on trial, connected and subscribed.
func (r *run) with(t *testing.T, p peer, scenario func()) {
	usual := r.p
	defer func() {
		p.Close()
		r.p = usual
		r.other.Discard()
	}()
	r.p = p
	require.NoError(t, p.Connect(r.ctx))
	r.subscribe(t, there)
	require.NoError(t, r.other.Subscribe(r.ctx, back))
	scenario()
}

// alive makes sure that the peer hears and is heard.
func (r *run) alive(t *testing.T) {
	t.Helper()
	r.probe(t, there)
	r.publishBack(t, back, value(t.Name()))
	require.NoError(t, drain(r.ctx, r.other, back, value(t.Name())))
}
