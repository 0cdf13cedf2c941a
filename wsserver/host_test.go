//go:build !js

package wsserver_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/transport"
)

// A host serves one Acceptor on a loopback listener, with small buffers in the
// kernel, so that a peer that does not read is felt soon.
type host struct {
	*httptest.Server

	mu      sync.Mutex
	ended   sync.Cond
	serving int
}

// kernelBuffer is what the kernel holds on each side; below it TCP crawls.
const kernelBuffer = 32 << 10

type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		shrink(c)
	}
	return c, err
}

func shrink(c net.Conn) {
	c.(*net.TCPConn).SetReadBuffer(kernelBuffer)
	c.(*net.TCPConn).SetWriteBuffer(kernelBuffer)
}

// newHost starts a host that serves every Conn with serve, and ends with t.
func newHost(t testing.TB, a transport.Acceptor, tls bool, accept transport.Accept, serve func(transport.Conn)) *host {
	h := &host{}
	h.ended.L = &h.mu
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.Match(r) {
			http.Error(w, "not an upgrade", http.StatusNotFound)
			return
		}
		a.Serve(w, r, &accept, func(c transport.Conn) {
			h.count(+1)
			defer h.count(-1)
			serve(c)
		})
	}))
	h.Listener = smallBuffers{h.Listener}
	h.Config.ErrorLog = fuzzing.ErrorLog()
	if tls {
		h.StartTLS()
	} else {
		h.Start()
	}
	h.Client().Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			shrink(c)
		}
		return c, err
	}
	t.Cleanup(func() { h.Close(); h.wait() })
	return h
}

func (h *host) count(n int) {
	h.mu.Lock()
	h.serving += n
	h.ended.Broadcast()
	h.mu.Unlock()
}

// wait waits until no Conn is served any more.
func (h *host) wait() {
	h.mu.Lock()
	for h.serving > 0 {
		h.ended.Wait()
	}
	h.mu.Unlock()
}

func (h *host) target(limit int) *transport.Target {
	u, err := url.Parse(h.URL)
	if err != nil {
		panic(err)
	}
	return &transport.Target{URL: u, HTTP: h.Client(), Limit: limit}
}
