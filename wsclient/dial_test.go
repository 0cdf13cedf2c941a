//go:build !js

package wsclient_test

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// answers starts a server whose every answer is f's, and gives the target.
func answers(t *testing.T, f http.HandlerFunc) *transport.Target {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return at(t, s)
}

func at(t *testing.T, s *httptest.Server) *transport.Target {
	u, err := url.Parse(s.URL + "/cometd")
	require.NoError(t, err)
	return &transport.Target{URL: u, HTTP: s.Client()}
}

// switching is the 101 for r, up to the header's last line.
func switching(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
}

// upgrades answers with a 101 and header, and leaves the connection to f.
func upgrades(header string, f func(net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		io.WriteString(c, switching(r)+header+"\r\n")
		f(c)
	}
}

func untilClosed(c net.Conn) { io.Copy(io.Discard, c) }

func dialError(t *testing.T, target *transport.Target, opts ...wsclient.Option) *transport.Error {
	t.Helper()
	c, err := wsclient.NewDialer(opts...).Dial(t.Context(), target)
	require.Nil(t, c)
	var e *transport.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "websocket", e.Type)
	assert.Equal(t, "dial", e.Op)
	return e
}

func TestAnAnswerWithoutUpgradeMeansFallBack(t *testing.T) {
	for status, reason := range map[int]transport.Reason{
		200: transport.Internal, 400: transport.BadPayload, 403: transport.Forbidden, 404: transport.Internal,
		426: transport.Internal, 500: transport.Internal,
	} {
		e := refusedWith(t, status)
		assert.Equal(t, reason, e.Reason)
		assert.ErrorIs(t, e, transport.ErrUnsupported)
	}
}

// They say nothing of WebSocket, but that there is no server for now.
func TestAStatusThatWillPassIsNoReasonToFallBack(t *testing.T) {
	for status, reason := range map[int]transport.Reason{
		429: transport.Overflow, 502: transport.GoingAway, 503: transport.GoingAway, 504: transport.Stalled,
	} {
		e := refusedWith(t, status)
		assert.Equal(t, reason, e.Reason)
		assert.NotErrorIs(t, e, transport.ErrUnsupported)
	}
}

// refusedWith is the error of an upgrade that is answered with a status.
func refusedWith(t *testing.T, status int) *transport.Error {
	t.Helper()
	e := dialError(t, answers(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		io.WriteString(w, "\n  not\there, \x00friend\r\nsecond line")
	}))
	assert.Equal(t, status, e.Status)
	assert.NotErrorIs(t, e, transport.ErrUnauthorized)
	assert.Equal(t, 7*time.Second, e.RetryAfter)
	assert.Equal(t, "not here, friend second line", e.Detail)
	return e
}

func Test401IsUnauthorizedAndNoReasonToFallBack(t *testing.T) {
	e := dialError(t, answers(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }))
	assert.Equal(t, 401, e.Status)
	assert.ErrorIs(t, e, transport.ErrUnauthorized)
	assert.NotErrorIs(t, e, transport.ErrUnsupported)
}

func TestARedirectIsNotFollowedAndShowsItsLocation(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		asked := 0
		e := dialError(t, answers(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			http.Redirect(w, r, "https://login.example.com/", status)
		}))
		assert.Equal(t, 1, asked)
		assert.Equal(t, status, e.Status)
		assert.Equal(t, "https://login.example.com/", e.Location)
		assert.ErrorIs(t, e, transport.ErrUnsupported)
		assert.ErrorContains(t, e, "https://login.example.com/")
	}
}

func TestARetryAfterMayBeADate(t *testing.T) {
	e := dialError(t, answers(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(503)
	}))
	assert.InDelta(t, time.Hour, e.RetryAfter, float64(time.Minute))
}

func TestA101ThatIsNoneMeansFallBack(t *testing.T) {
	for name, answer := range map[string]func(r *http.Request) string{
		"wrong key": func(*http.Request) string {
			return "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
		},
		"no upgrade":            func(*http.Request) string { return "HTTP/1.1 101 X\r\n\r\n" },
		"a foreign subprotocol": func(r *http.Request) string { return switching(r) + "Sec-WebSocket-Protocol: x\r\n\r\n" },
		"a foreign extension":   func(r *http.Request) string { return switching(r) + "Sec-WebSocket-Extensions: x\r\n\r\n" },
	} {
		t.Run(name, func(t *testing.T) {
			e := dialError(t, answers(t, func(w http.ResponseWriter, r *http.Request) {
				c, _, err := http.NewResponseController(w).Hijack()
				assert.NoError(t, err)
				defer c.Close()
				io.WriteString(c, answer(r))
				untilClosed(c)
			}))
			assert.ErrorIs(t, e, transport.ErrUnsupported)
		})
	}
}

// A server that takes the connection and says nothing is given up.
func TestAnUpgradeThatHangsMeansFallBack(t *testing.T) {
	over := make(chan struct{})
	target := answers(t, func(w http.ResponseWriter, r *http.Request) { <-over })
	t.Cleanup(func() { close(over) })
	e := dialError(t, target, wsclient.WithOpenTimeout(500*time.Millisecond))
	assert.ErrorIs(t, e, transport.ErrUnsupported)
	assert.ErrorContains(t, e, "500ms")
	assert.Equal(t, transport.Stalled, e.Reason)

	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := wsclient.NewDialer().Dial(ctx, target)
	assert.ErrorIs(t, err, context.DeadlineExceeded, "the caller's own deadline")
	assert.NotErrorIs(t, err, transport.ErrUnsupported, "says nothing about the server")
	assert.Equal(t, transport.Stalled, transport.ReasonOf(err), "but that it was reached")
}

func TestAHostThatIsNotThereIsNoReasonToFallBack(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln.Close()
	e := dialError(t, &transport.Target{URL: &url.URL{Scheme: "http", Host: ln.Addr().String()}})
	assert.NotErrorIs(t, e, transport.ErrUnsupported)
	assert.Zero(t, e.Status)

	over := make(chan struct{})
	defer close(over)
	silent := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		<-over // an http.Transport goes on dialling after a request has given up
		return nil, io.EOF
	}}}
	e = dialError(t, &transport.Target{URL: &url.URL{Scheme: "http", Host: "x"}, HTTP: silent}, wsclient.WithOpenTimeout(50*time.Millisecond))
	assert.NotErrorIs(t, e, transport.ErrUnsupported)
	assert.ErrorContains(t, e, "50ms")
	assert.Equal(t, transport.Internal, e.Reason)
}

func TestTheUpgradeHasHeadersAndCookiesAndKeepsCookies(t *testing.T) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	var got *http.Request
	target := answers(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		upgrades("Set-Cookie: BAYEUX_BROWSER=b1; Path=/; HttpOnly\r\n", untilClosed)(w, r)
	})
	target.HTTP.Jar = jar
	jar.SetCookies(target.URL, []*http.Cookie{{Name: "lb", Value: "node7"}})
	target.Header = http.Header{"Authorization": {"Bearer t"}, "X-Two": {"1", "2"}}
	kept := target.Header.Clone()
	c, err := wsclient.NewDialer().Dial(t.Context(), target)
	require.NoError(t, err)
	defer c.Close(transport.Normal)
	assert.Equal(t, "Bearer t", got.Header.Get("Authorization"))
	assert.Equal(t, []string{"1", "2"}, got.Header["X-Two"])
	assert.Equal(t, "lb=node7", got.Header.Get("Cookie"))
	assert.Equal(t, kept, target.Header, "the target's header is not ours to change")
	var names []string
	for _, c := range jar.Cookies(target.URL) {
		names = append(names, c.Name+"="+c.Value)
	}
	assert.ElementsMatch(t, []string{"lb=node7", "BAYEUX_BROWSER=b1"}, names)
	assert.Nil(t, target.HTTP.CheckRedirect, "nor is its client")
}

func TestAHostHeaderNamesAVirtualHost(t *testing.T) {
	hosts := make(chan string, 1)
	target := answers(t, func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		upgrades("", untilClosed)(w, r)
	})
	target.Header = http.Header{"Host": {"virtual.example.com"}}
	c, err := wsclient.NewDialer().Dial(t.Context(), target)
	require.NoError(t, err)
	c.Close(transport.Normal)
	assert.Equal(t, "virtual.example.com", <-hosts)
}

func TestSchemesAndURLs(t *testing.T) {
	paths := make(chan string, 1)
	target := answers(t, func(w http.ResponseWriter, r *http.Request) {
		paths <- r.URL.Path
		upgrades("", untilClosed)(w, r)
	})
	dial := func(target *transport.Target, opts ...wsclient.Option) string {
		c, err := wsclient.NewDialer(opts...).Dial(t.Context(), target)
		require.NoError(t, err)
		defer c.Close(transport.Normal)
		assert.Equal(t, target.URL.Host, c.Peer().Addr)
		return <-paths
	}
	assert.Equal(t, "/cometd", dial(target))
	ws := *target.URL
	ws.Scheme = "ws"
	assert.Equal(t, "/cometd", dial(&transport.Target{URL: &ws, HTTP: target.HTTP}))
	assert.Equal(t, "/other", dial(target, wsclient.WithURL("ws://"+target.URL.Host+"/other")))
	assert.Equal(t, "/cometd", dial(&transport.Target{URL: target.URL}), "without an http.Client")
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	e := dialError(t, &transport.Target{URL: &url.URL{Scheme: "ftp", Host: "x"}})
	assert.ErrorContains(t, e, "ftp")
}

func TestWrongOptionsShow(t *testing.T) {
	for _, o := range []wsclient.Option{
		wsclient.WithURL("ftp://x"), wsclient.WithURL("/cometd"), wsclient.WithURL("http://[::1"), wsclient.WithSubprotocol(""),
		wsclient.WithSubprotocol("a, b"), wsclient.WithSubprotocol("a\r\nX: y"), wsclient.WithSubprotocol("a b"), wsclient.WithSubprotocol("é"), wsclient.WithSubprotocol("a/b"),
		wsclient.WithCompression(0), wsclient.WithPing(-1, 0), wsclient.WithPing(1, 0), wsclient.WithOpenTimeout(0),
	} {
		d := wsclient.NewDialer(o)
		_, err := d.Dial(t.Context(), &transport.Target{})
		require.ErrorContains(t, err, "wsclient: ")
		assert.Equal(t, err, d.(interface{ Err() error }).Err())
	}
	good := wsclient.NewDialer(nil, wsclient.WithPing(0, 0), wsclient.WithSubprotocol("v1.bayeux~#"))
	assert.NoError(t, good.(interface{ Err() error }).Err(), "a nil option is none")
	assert.Equal(t, "websocket", good.Type())
}

func TestASubprotocolMustBeTaken(t *testing.T) {
	target := answers(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "bayeux", r.Header.Get("Sec-WebSocket-Protocol"))
		upgrades("", untilClosed)(w, r)
	})
	e := dialError(t, target, wsclient.WithSubprotocol("bayeux"))
	assert.ErrorIs(t, e, transport.ErrUnsupported)
	assert.ErrorContains(t, e, `"bayeux"`)

	target = answers(t, upgrades("Sec-WebSocket-Protocol: bayeux\r\n", untilClosed))
	c, err := wsclient.NewDialer(wsclient.WithSubprotocol("bayeux")).Dial(t.Context(), target)
	require.NoError(t, err)
	c.Close(transport.Normal)
}

// A Dial's ctx bounds Dial only.
func TestTheConnOutlivesTheContextOfDial(t *testing.T) {
	type key struct{}
	target := answers(t, upgrades("", func(c net.Conn) { io.Copy(c, c) }))
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	c, err := wsclient.NewDialer().Dial(ctx, target)
	require.NoError(t, err)
	defer c.Close(transport.Normal)
	cancel()
	assert.NoError(t, c.Context().Err())
	assert.Equal(t, "v", c.Context().Value(key{}))
	assert.NoError(t, c.Send(&transport.Payload{}))
}

// hidden is a RoundTripper of a user's that does not pass the trace on.
type hidden struct{ http.RoundTripper }

func (h hidden) RoundTrip(r *http.Request) (*http.Response, error) {
	bare := r.Clone(context.Background())
	return h.RoundTripper.RoundTrip(bare)
}

func TestAForeignRoundTripperMayHideTheConnection(t *testing.T) {

	target := answers(t, upgrades("", untilClosed))
	target.HTTP.Transport = hidden{target.HTTP.Transport}
	c, err := wsclient.NewDialer().Dial(t.Context(), target)
	require.NoError(t, err)
	require.NoError(t, c.Send(&transport.Payload{}))
	ended := make(chan error)
	go func() { _, err := c.Receive(); ended <- err }()
	c.Close(transport.Normal)
	assert.Error(t, <-ended)
	assert.NotNil(t, c.Peer())
}

// The proxy of the http.Client is asked for a tunnel to a TLS host.
func TestThroughAProxy(t *testing.T) {
	host := httptest.NewTLSServer(upgrades("", untilClosed))
	defer host.Close()
	tunnels := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !assert.Equal(t, http.MethodConnect, r.Method) {
			return
		}
		tunnels++
		to, err := net.Dial("tcp", r.Host)
		assert.NoError(t, err)
		defer to.Close()
		from, buffered, err := http.NewResponseController(w).Hijack()
		assert.NoError(t, err)
		defer from.Close()
		io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { defer from.Close(); io.Copy(from, to) }()
		io.Copy(to, buffered) // net/http may have read ahead
	}))
	defer proxy.Close()
	target := at(t, host)
	u, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	target.HTTP.Transport.(*http.Transport).Proxy = http.ProxyURL(u)
	c, err := wsclient.NewDialer().Dial(t.Context(), target)
	require.NoError(t, err)
	assert.NoError(t, c.Send(&transport.Payload{}))
	c.Close(transport.Normal)
	assert.Equal(t, 1, tunnels)

	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(407) }))
	defer refusing.Close()
	u, err = url.Parse(refusing.URL)
	require.NoError(t, err)
	target.HTTP.Transport.(*http.Transport).Proxy = http.ProxyURL(u)
	e := dialError(t, target)
	assert.ErrorContains(t, e, "Proxy Authentication Required")
}

func TestCompressionIsOfferedOnlyWhenAskedFor(t *testing.T) {
	offers := make(chan string, 1)
	target := answers(t, func(w http.ResponseWriter, r *http.Request) {
		offers <- r.Header.Get("Sec-WebSocket-Extensions")
		upgrades("", untilClosed)(w, r)
	})
	for want, opts := range map[string][]wsclient.Option{"": nil, "permessage-deflate": {wsclient.WithCompression(100)}} {
		c, err := wsclient.NewDialer(opts...).Dial(t.Context(), target)
		require.NoError(t, err)
		c.Close(transport.Normal)
		name, _, _ := strings.Cut(<-offers, ";")
		assert.Equal(t, want, name)
	}
}
