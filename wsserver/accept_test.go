//go:build !js

package wsserver_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

// served starts a host that keeps its Conns open until t ends.
func served(t *testing.T, accept transport.Accept, opts ...wsserver.Option) (*host, <-chan transport.Conn) {
	conns, over := make(chan transport.Conn, 16), make(chan struct{})
	h := newHost(t, wsserver.NewAcceptor(opts...), false, accept, func(c transport.Conn) {
		conns <- c
		<-over
	})
	t.Cleanup(func() { close(over) })
	return h, conns
}

func TestMatchLooksForAnUpgrade(t *testing.T) {
	a := wsserver.NewAcceptor()
	assert.Equal(t, "websocket", a.Type())
	request := func(method string, header ...string) *http.Request {
		r := httptest.NewRequest(method, "/cometd", nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		return r
	}
	assert.True(t, a.Match(request("GET", "Upgrade", "websocket", "Connection", "Upgrade")))
	assert.True(t, a.Match(request("GET", "Upgrade", "WebSocket", "Connection", "keep-alive, upgrade")), "as Firefox says it")
	assert.True(t, a.Match(request("GET", "Upgrade", "h2c", "Upgrade", "websocket", "Connection", "Upgrade")))
	assert.False(t, a.Match(request("POST", "Upgrade", "websocket", "Connection", "Upgrade")))
	assert.False(t, a.Match(request("GET", "Upgrade", "websocket")), "a proxy that knows no upgrade took Connection away")
	assert.False(t, a.Match(request("GET", "Upgrade", "h2c", "Connection", "Upgrade")))
	assert.False(t, a.Match(request("GET")))
	h2 := request("GET", "Upgrade", "websocket", "Connection", "Upgrade")
	h2.ProtoMajor, h2.ProtoMinor = 2, 0
	assert.False(t, a.Match(h2), "HTTP/2 has no upgrade")
}

func TestBadUpgradesAreAnswered(t *testing.T) {
	h := newHost(t, wsserver.NewAcceptor(), false, transport.Accept{}, func(transport.Conn) {
		t.Error("a Conn was served")
	})
	for _, c := range []struct {
		key, version string
		status       int
	}{
		{"", "13", 400},
		{"short", "13", 400},
		{"dGhlIHNhbXBsZSBub25jZQ==", "8", 426},
		{"dGhlIHNhbXBsZSBub25jZQ==", "", 426},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", h.URL, nil)
		require.NoError(t, err)
		r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}
		if c.key != "" {
			r.Header.Set("Sec-WebSocket-Key", c.key)
		}
		r.Header.Set("Sec-WebSocket-Version", c.version)
		resp, err := h.Client().Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, c.status, resp.StatusCode, "%+v", c)
		assert.Empty(t, resp.Cookies(), "only a 101 ties a browser to something")
		if c.version != "13" {
			assert.Equal(t, "13", resp.Header.Get("Sec-WebSocket-Version"))
		}
	}
}

// RFC 6455 §4.2.1, where net/http's client says no such thing.
func TestAnUpgradeIsOfHTTP11AndNamesOneVersion(t *testing.T) {
	h := newHost(t, wsserver.NewAcceptor(), false, transport.Accept{}, func(transport.Conn) {
		t.Error("a Conn was served")
	})
	for name, request := range map[string]string{
		"HTTP/1.0":                  strings.Replace(upgradeRequest("Connection: close"), "HTTP/1.1", "HTTP/1.0", 1),
		"two versions":              upgradeRequest("Connection: close", "Sec-WebSocket-Version: 8"),
		"the same version twice":    upgradeRequest("Connection: close", "Sec-WebSocket-Version: 13"),
		"two versions in one field": strings.Replace(upgradeRequest("Connection: close"), "Version: 13", "Version: 13, 8", 1),
	} {
		r := h.dial(t)
		r.write(request)
		resp, err := http.ReadResponse(r.in, nil)
		require.NoError(t, err, name)
		resp.Body.Close()
		want := http.StatusUpgradeRequired // §4.4
		if name == "HTTP/1.0" {
			want = http.StatusBadRequest
		}
		assert.Equal(t, want, resp.StatusCode, name)
		assert.Equal(t, want == http.StatusUpgradeRequired, resp.Header.Get("Sec-WebSocket-Version") == "13", name)
		assert.Equal(t, want == http.StatusUpgradeRequired, resp.Header.Get("Upgrade") == "websocket", "%s: RFC 9110 §15.5.22", name)
		assert.Empty(t, resp.Cookies(), name)
	}
}

func TestWithoutHijackTheAnswerIs501(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"13"}}
	wsserver.NewAcceptor().Serve(w, r, &transport.Accept{}, func(transport.Conn) { t.Error("a Conn was served") })
	assert.Equal(t, http.StatusNotImplemented, w.Code)
}

func TestWrongOptionsShow(t *testing.T) {
	for _, o := range []wsserver.Option{
		wsserver.WithCompression(0), wsserver.WithCompression(-1), wsserver.WithSubprotocols("a", ""),
		wsserver.WithSubprotocols("a, b"), wsserver.WithSubprotocols("a\r\nX: y"), wsserver.WithSubprotocols("a b"), wsserver.WithSubprotocols("é"), wsserver.WithSubprotocols("a/b"),
		wsserver.WithPing(-1, 0), wsserver.WithPing(time.Second, 0), wsserver.WithSendBuffer(0),
	} {
		a := wsserver.NewAcceptor(o)
		err := a.(interface{ Err() error }).Err()
		require.ErrorContains(t, err, "wsserver: ")
		w := httptest.NewRecorder()
		a.Serve(w, httptest.NewRequest("GET", "/", nil), &transport.Accept{}, nil)
		assert.Equal(t, http.StatusInternalServerError, w.Code)
	}
	good := wsserver.NewAcceptor(nil, wsserver.WithPing(0, 0), wsserver.WithSendBuffer(-1), wsserver.WithSubprotocols("v1.bayeux~#"))
	assert.NoError(t, good.(interface{ Err() error }).Err(), "a nil option is none")
}

func TestAFreshPeerGetsTheCookieOnThe101(t *testing.T) {
	h, conns := served(t, transport.Accept{})
	r := h.open(t)
	cookies := r.resp.Cookies()
	require.Len(t, cookies, 1)
	assert.Equal(t, "BAYEUX_BROWSER", cookies[0].Name)
	assert.True(t, cookies[0].HttpOnly)
	peer := (<-conns).Peer()
	assert.True(t, peer.Fresh)
	assert.Equal(t, peer.Browser, cookies[0].Value)
	assert.GreaterOrEqual(t, len(peer.Browser), 26, "128 bits and more")

	r = h.open(t, "Cookie: BAYEUX_BROWSER="+cookies[0].Value)
	assert.Empty(t, r.resp.Cookies())
	again := (<-conns).Peer()
	assert.False(t, again.Fresh)
	assert.Equal(t, peer.Browser, again.Browser)
}

func TestPeerSaysWhoUpgraded(t *testing.T) {
	h, conns := served(t, transport.Accept{Headers: []string{"User-Agent", "Authorization"}})
	r := h.open(t, "User-Agent: test/1", "X-Other: secret")
	p := (<-conns).Peer()
	assert.Equal(t, "websocket", p.Type)
	assert.False(t, p.Once)
	assert.False(t, p.Polled)
	assert.Equal(t, r.LocalAddr().String(), p.Addr)
	assert.Equal(t, "/cometd", p.URL.Path)
	assert.Equal(t, http.Header{"User-Agent": {"test/1"}}, p.Header)
	assert.Nil(t, p.TLS)
	assert.Equal(t, 1, p.Proto)
	h.open(t)
	assert.Nil(t, (<-conns).Peer().Header)
}

func TestPeerHasTheTLSState(t *testing.T) {
	states := make(chan *tls.ConnectionState, 1)
	h := newHost(t, wsserver.NewAcceptor(), true, transport.Accept{}, func(c transport.Conn) { states <- c.Peer().TLS })
	c, err := wsclient.NewDialer().Dial(t.Context(), h.target(0))
	require.NoError(t, err)
	defer c.Close(transport.Normal)
	assert.True(t, (<-states).HandshakeComplete)
	assert.True(t, c.Peer().TLS.HandshakeComplete)
}

func TestSubprotocols(t *testing.T) {
	h, _ := served(t, transport.Accept{}, wsserver.WithSubprotocols("bayeux2", "bayeux"))
	assert.Equal(t, "bayeux", h.open(t, "Sec-WebSocket-Protocol: x, bayeux").resp.Header.Get("Sec-WebSocket-Protocol"))
	assert.Equal(t, "bayeux2", h.open(t, "Sec-WebSocket-Protocol: bayeux, bayeux2").resp.Header.Get("Sec-WebSocket-Protocol"))
	assert.Empty(t, h.open(t, "Sec-WebSocket-Protocol: x").resp.Header.Get("Sec-WebSocket-Protocol"))
	assert.Empty(t, h.open(t).resp.Header.Get("Sec-WebSocket-Protocol"))
	h, _ = served(t, transport.Accept{})
	assert.Empty(t, h.open(t, "Sec-WebSocket-Protocol: bayeux").resp.Header.Get("Sec-WebSocket-Protocol"))
}

func TestCompressionIsOffUnlessAskedFor(t *testing.T) {
	const offer = "Sec-WebSocket-Extensions: permessage-deflate"
	h, _ := served(t, transport.Accept{})
	assert.Empty(t, h.open(t, offer).resp.Header.Get("Sec-WebSocket-Extensions"))
	h, _ = served(t, transport.Accept{}, wsserver.WithCompression(1000))
	assert.Equal(t, "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
		h.open(t, offer).resp.Header.Get("Sec-WebSocket-Extensions"))
	assert.Equal(t, "permessage-deflate; client_no_context_takeover; server_no_context_takeover; server_max_window_bits=15",
		h.open(t, offer+"; server_max_window_bits=15").resp.Header.Get("Sec-WebSocket-Extensions"))
}

func TestWhatCameWithTheUpgradeIsNotLost(t *testing.T) {
	h := newHost(t, wsserver.NewAcceptor(), false, transport.Accept{}, echo)
	early := text("1") + text(strings.Repeat("early", 500)) + bye
	c := h.dial(t)
	c.write(upgradeRequest() + early)
	c.upgraded()
	out, _ := c.rest()
	assertFrames(t, want("[1]", "["+strings.Repeat("early", 500)+"]", "close 1000"), out)
}

// The values that a middleware put into the request's context are the Conn's,
// which outlives the request.
func TestContextHasTheRequestsValuesAndItsOwnEnd(t *testing.T) {
	type key struct{}
	a, conns, over := wsserver.NewAcceptor(), make(chan transport.Conn, 1), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(context.WithValue(r.Context(), key{}, "tenant"))
		a.Serve(wrapped{w}, r, &transport.Accept{}, func(c transport.Conn) { conns <- c; <-over })
	}))
	defer s.Close()
	h := &host{Server: s}
	h.open(t)
	c := <-conns
	s.CloseClientConnections() // and requests
	assert.Equal(t, "tenant", c.Context().Value(key{}))
	assert.NoError(t, c.Context().Err())
	c.Close(transport.Normal)
	assert.Error(t, c.Context().Err())
	close(over)
}

// wrapped is a middleware's ResponseWriter.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Serve may return before the 101 has left, and what is around it goes on.
func TestHandlersAroundServeHaveTheirHeadersBack(t *testing.T) {
	a := wsserver.NewAcceptor(wsserver.WithSubprotocols("bayeux"))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Before", "1")
		a.Serve(w, r, &transport.Accept{}, func(transport.Conn) {})
		for i := range 100 {
			w.Header().Set("X-After-"+strconv.Itoa(i), "1")
			r.Header.Set("Sec-WebSocket-Protocol", strconv.Itoa(i))
		}
	}))
	defer s.Close()
	for range 50 {
		c := (&host{Server: s}).dial(t)
		c.write(upgradeRequest("Sec-WebSocket-Protocol: bayeux"))
		c.upgraded()
		assert.Equal(t, "1", c.resp.Header.Get("X-Before"))
		assert.Equal(t, "bayeux", c.resp.Header.Get("Sec-WebSocket-Protocol"))
		assert.Empty(t, c.resp.Header.Get("X-After-0"))
		c.Close()
	}
}

func TestAPanicInServeStillClosesTheSocket(t *testing.T) {
	// The panic itself would end the process, so the goroutine ends the other
	// way that skips what follows serve.
	a := wsserver.NewAcceptor()
	h := newHost(t, a, false, transport.Accept{}, func(c transport.Conn) { runtime.Goexit() })
	r := h.open(t)
	out, _ := r.rest()
	assert.Equal(t, want("close 1000"), out)
}

func TestReasonsReachThePeer(t *testing.T) {
	for r := transport.Normal; r <= transport.Internal; r++ {
		h := newHost(t, wsserver.NewAcceptor(), false, transport.Accept{}, func(c transport.Conn) {
			c.Close(r)
			c.Close(transport.Internal) // the first counts
		})
		c := h.open(t)
		f := c.read()
		assert.Equal(t, byte(Fin|Close), f.First)
		assert.Equal(t, Code(r.CloseCode(), r.Text()), f.Payload)
		_, err := c.in.ReadByte()
		assert.Equal(t, io.EOF, err, "then the connection ends")
	}
}

func TestHowAPeerEnded(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		reason      transport.Reason
		eof         bool
	}{
		{name: "1000", bytes: closing(1000), eof: true},
		{name: "a page that was left", bytes: closing(1001), eof: true},
		{name: "no code", bytes: Masked(Fin|Close, ""), eof: true},
		{name: "1011", bytes: closing(1011), reason: transport.Internal},
		{name: "1009", bytes: closing(1009), reason: transport.TooLarge},
		{name: "no close frame", reason: transport.Internal},
		{name: "in the middle of a frame", bytes: text("12345")[:8], reason: transport.Internal},
		{name: "binary", bytes: Masked(Fin|Bin, "x"), reason: transport.BadPayload},
		{name: "not UTF-8", bytes: text("\xff"), reason: transport.BadPayload},
		{name: "too large", bytes: text(xs(1001)), reason: transport.TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			ended := make(chan error, 1)
			h := newHost(t, wsserver.NewAcceptor(), false, transport.Accept{Limit: 1000}, func(c transport.Conn) {
				r, err := c.Receive()
				if err == nil {
					_, err = io.Copy(io.Discard, r)
				}
				_, again := c.Receive()
				assert.Equal(t, err, again, "and it stays so")
				assert.Error(t, c.Context().Err())
				ended <- err
			})
			r := h.open(t)
			r.write(c.bytes)
			if !strings.Contains(c.bytes, "\x88") {
				r.Close()
			}
			err := <-ended
			if c.eof {
				assert.Equal(t, io.EOF, err)
				return
			}
			var e *transport.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, c.reason, e.Reason)
			assert.Equal(t, c.reason == transport.TooLarge, strings.Contains(err.Error(), "1000 bytes") || c.name == "1009")
		})
	}
}

func TestPingsWhenAskedFor(t *testing.T) {
	ended := make(chan error, 1)
	h := newHost(t, wsserver.NewAcceptor(wsserver.WithPing(10*time.Millisecond, 20*time.Millisecond)), false, transport.Accept{}, func(c transport.Conn) {
		_, err := c.Receive()
		ended <- err
	})
	r := h.open(t)
	assert.Equal(t, Seen{First: Fin | Ping}, r.read())
	err := <-ended
	assert.Equal(t, transport.Idle, transport.ReasonOf(err))
}
