package longpoll

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
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
)

const (
	other       = transport.Other
	handshake   = transport.Handshake
	connect     = transport.Connect
	subscribe   = transport.Subscribe
	unsubscribe = transport.Unsubscribe
	disconnect  = transport.Disconnect
)

func TestEachKindOfRequestHasItsURL(t *testing.T) {
	axum := WithPaths(Paths{Handshake: "/node/0/", Connect: "/node/1/", Subscribe: "/node/0/", Publish: "/node/1/connect"})
	rust := WithPaths(Paths{Publish: "connect"})
	for _, c := range []struct {
		base string
		opt  DialOption
		kind transport.Kind
		want string
	}{
		{"http://h/cometd", nil, handshake, "http://h/cometd/handshake"},
		{"http://h/cometd/", nil, connect, "http://h/cometd/connect"},
		{"http://h/cometd", nil, disconnect, "http://h/cometd/disconnect"},
		{"http://h/cometd", nil, subscribe, "http://h/cometd"},
		{"http://h/cometd/", nil, unsubscribe, "http://h/cometd/"},
		{"http://h/cometd", nil, other, "http://h/cometd"},
		{"http://h", nil, handshake, "http://h/handshake"},
		{"http://h/cometd?a=b", nil, handshake, "http://h/cometd?a=b"},
		{"http://h/cometd/62.0", nil, connect, "http://h/cometd/62.0"},
		{"http://h/v1.0/cometd", nil, connect, "http://h/v1.0/cometd/connect"},
		{"http://h/a%2Fb", nil, connect, "http://h/a%2Fb/connect"},
		{"http://h/cometd", WithTypeInURL(false), handshake, "http://h/cometd"},

		{"http://[::1]:1025/notifications/", axum, handshake, "http://[::1]:1025/node/0/handshake"},
		{"http://[::1]:1025/notifications/", axum, connect, "http://[::1]:1025/node/1/connect"},
		{"http://[::1]:1025/notifications/", axum, subscribe, "http://[::1]:1025/node/0/"},
		{"http://[::1]:1025/notifications/", axum, other, "http://[::1]:1025/node/1/connect"},
		{"http://[::1]:1025/notifications/", axum, disconnect, "http://[::1]:1025/notifications/disconnect"},
		{"http://host/notifications/", WithPaths(Paths{Handshake: "hand/"}), handshake, "http://host/notifications/hand/handshake"},
		{"http://host/notifications", WithPaths(Paths{Handshake: "hand"}), handshake, "http://host/notifications/hand/handshake"},
		{"http://host/notifications", WithPaths(Paths{Handshake: "hand"}), connect, "http://host/notifications/connect"},
		{"http://h/notifications", rust, other, "http://h/notifications/connect"},
		{"http://h/notifications/", rust, subscribe, "http://h/notifications/"},
		{"http://h/x?k=v", WithPaths(Paths{Connect: "c/"}), connect, "http://h/x/c/connect?k=v"},
	} {
		d := NewDialer().(*dialer)
		if c.opt != nil {
			d = NewDialer(c.opt).(*dialer)
		}
		base, err := url.Parse(c.base)
		require.NoError(t, err)
		assert.Equal(t, c.want, d.config.endpoint(base, c.kind).String(), "%v at %s", c.kind, c.base)
		assert.Equal(t, c.base, base.String(), "the target's URL has changed")
	}
}

// site serves h and gives a target for it.
func site(t *testing.T, h http.HandlerFunc) *transport.Target {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return target(t, s, 1000)
}

// ask performs one exchange.
func ask(t *testing.T, to *transport.Target, kind transport.Kind, opts ...DialOption) (string, error) {
	t.Helper()
	c, err := NewDialer(opts...).Dial(t.Context(), to)
	require.NoError(t, err)
	defer c.Close(transport.Normal)
	require.NoError(t, c.Send(&transport.Payload{Kind: kind, Messages: [][]byte{[]byte(`{"a":1}`)}}))
	r, err := c.Receive()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestARequestIsAPostWithTheTargetsHeadersAndCookies(t *testing.T) {
	var got *http.Request
	to := site(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		b, _ := io.ReadAll(r.Body)
		http.SetCookie(w, &http.Cookie{Name: "lb", Value: "node1"})
		w.Write(b)
	})
	to.Header = http.Header{"Authorization": {"Bearer t"}, "Content-Type": {"text/x"}}
	text, err := ask(t, to, handshake)
	require.NoError(t, err)
	assert.Equal(t, `[{"a":1}]`, text)
	assert.Equal(t, "POST", got.Method)
	assert.Equal(t, "/handshake", got.URL.Path)
	assert.Equal(t, "application/json;charset=UTF-8", got.Header.Get("Content-Type"))
	assert.Equal(t, "Bearer t", got.Header.Get("Authorization"))
	assert.Empty(t, got.Cookies())

	_, err = ask(t, to, connect)
	require.NoError(t, err)
	require.Len(t, got.Cookies(), 1)
	assert.Equal(t, "node1", got.Cookies()[0].Value)
}

func TestARefusalSaysWhatTheServerSaid(t *testing.T) {
	to := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(503)
		io.WriteString(w, "busy\n\x1b[31m\x00 come\u202e back "+strings.Repeat("x", 9000))
	})
	_, err := ask(t, to, connect)
	e, ok := errors.AsType[*transport.Error](err)
	require.True(t, ok)
	assert.Equal(t, 503, e.Status)
	assert.Equal(t, transport.GoingAway, e.Reason)
	assert.Equal(t, 7*time.Second, e.RetryAfter)
	assert.Regexp(t, `^busy \[31m come back x{100,200}…$`, e.Detail)
	assert.Regexp(t, `^transport: long-polling receive: 503 Service Unavailable, retry after 7s: "busy `, err.Error())
}

func TestStatusesAreErrorsOneCanAskFor(t *testing.T) {
	for status, is := range map[int]error{401: transport.ErrUnauthorized, 413: transport.ErrTooLarge} {
		to := site(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
		_, err := ask(t, to, connect)
		assert.ErrorIs(t, err, is)
		assert.ErrorContains(t, err, http.StatusText(status))
	}
}

func TestARedirectIsReportedAndNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		asked := 0
		to := site(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			http.Redirect(w, r, "/login?next=1", status)
		})
		_, err := ask(t, to, connect)
		e, ok := errors.AsType[*transport.Error](err)
		require.True(t, ok)
		assert.Equal(t, status, e.Status)
		assert.Equal(t, "/login?next=1", e.Location)
		assert.ErrorContains(t, err, `to "/login?next=xxxxx"`)
		assert.Equal(t, 1, asked)
	}
}

func TestAnAnswerThatIsNoPayloadIsAFailure(t *testing.T) {
	for want, h := range map[string]http.HandlerFunc{
		"the answer is empty": func(w http.ResponseWriter, r *http.Request) {},
		"empty":               func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() }, // chunked
		"204 No Content":      func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) },
		`page of type "text/plain"`: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, "\r\n <html>log in")
		},
		`page of type "text/html; charset=utf-8"`: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, mark+"<!DOCTYPE html>")
		},
		"EOF": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "[1")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		_, err := ask(t, site(t, h), connect)
		e, ok := errors.AsType[*transport.Error](err)
		require.True(t, ok, "%s: %v", want, err)
		assert.ErrorContains(t, e, want)
	}
}

// Some servers give Bayeux the type of a page, or begin with a byte order mark.
func TestAPayloadIsOneWhateverItsType(t *testing.T) {
	for _, media := range []string{"text/html", "text/html;charset=UTF-8", "text/plain", "application/octet-stream", ""} {
		for text, want := range map[string]string{
			`[{"channel":"/a"}]`:         `[{"channel":"/a"}]`,
			"\xef\xbb\xbf[1]":            "[1]",
			"[]":                         "[]",
			" \n  []":                    " \n  []",
			"\xef\xbb\xbf\xef\xbb\xbf[]": "\xef\xbb\xbf[]",
		} {
			for _, chunked := range []bool{false, true} {
				got, err := ask(t, site(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", media)
					for _, b := range []byte(text) {
						w.Write([]byte{b})
						if chunked {
							w.(http.Flusher).Flush()
						}
					}
				}), connect)
				require.NoError(t, err, "%q as %q", text, media)
				assert.Equal(t, want, string(got))
			}
		}
	}
}

// What counts is what the caller has to hold, not what came over the network.
func TestAPackedAnswerIsLimitedByItsRealSize(t *testing.T) {
	to := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write(make([]byte, 1<<20))
		z.Close()
	})
	text, err := ask(t, to, connect)
	assert.ErrorIs(t, err, transport.ErrTooLarge)
	assert.ErrorContains(t, err, "limit is 1000 bytes")
	assert.LessOrEqual(t, len(text), 1000)
}

func TestCloseEndsTheRequest(t *testing.T) {
	gone := make(chan struct{})
	to := site(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		close(gone)
	})
	c, err := NewDialer().Dial(t.Context(), to)
	require.NoError(t, err)
	require.NoError(t, c.Send(&transport.Payload{}))
	time.AfterFunc(20*time.Millisecond, func() { c.Close(transport.Normal) })
	_, err = c.Receive()
	assert.ErrorIs(t, err, transport.ErrClosed)
	<-gone
}

func TestDialsContextBoundsDialOnly(t *testing.T) {
	type key struct{}
	to := site(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "[]") })
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	c, err := NewDialer().Dial(ctx, to)
	require.NoError(t, err)
	defer c.Close(transport.Normal)
	cancel()
	require.NoError(t, c.Send(&transport.Payload{}))
	_, err = c.Receive()
	assert.NoError(t, err)
	assert.Equal(t, "v", c.Context().Value(key{}))
	_, err = NewDialer().Dial(ctx, to)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestWrongDialOptionsFailEveryDial(t *testing.T) {
	to := site(t, func(http.ResponseWriter, *http.Request) {})
	for _, opt := range []DialOption{WithURL("ftp://h/"), WithURL("://"), WithURL("/path"), WithPaths(Paths{Connect: ":%"})} {
		d := NewDialer(opt)
		_, err := d.Dial(t.Context(), to)
		assert.ErrorContains(t, err, "longpoll: ")
		assert.ErrorIs(t, err, d.(interface{ Err() error }).Err())
	}
	assert.NoError(t, NewDialer(nil).(interface{ Err() error }).Err(), "a nil option is none")
}

func TestWithURLTakesThePlaceOfTheTargets(t *testing.T) {
	to := site(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `["`+r.URL.Path+`"]`) })
	u := to.URL.String() + "/lp"
	to.URL = &url.URL{Scheme: "http", Host: "elsewhere.invalid"}
	text, err := ask(t, to, connect, WithURL(u))
	require.NoError(t, err)
	assert.Equal(t, `["/lp/connect"]`, text)
}

func TestAHostHeaderNamesAVirtualHost(t *testing.T) {
	to := site(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `["`+r.Host+`"]`) })
	to.Header = http.Header{"Host": {"virtual.example.com"}}
	text, err := ask(t, to, connect)
	require.NoError(t, err)
	assert.Equal(t, `["virtual.example.com"]`, text)
}

func TestAServerThatIsNotThereIsAnError(t *testing.T) {
	s := httptest.NewServer(nil)
	to := target(t, s, 0)
	s.Close()
	_, err := ask(t, to, connect)
	e, ok := errors.AsType[*transport.Error](err)
	require.True(t, ok)
	assert.Zero(t, e.Status)
	assert.ErrorContains(t, err, "refused")
}

func TestATargetWithoutAClientWorks(t *testing.T) {
	to := site(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "[1]") })
	to.HTTP = nil
	text, err := ask(t, to, connect)
	require.NoError(t, err)
	assert.Equal(t, "[1]", text)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// Our client and our server agree about the cookie.
func TestTheJarKeepsTheBrowsersCookie(t *testing.T) {
	var seen []transport.Peer
	to := start(t, NewAcceptor(), &transport.Accept{}, func(c transport.Conn) {
		r, _ := c.Receive()
		io.Copy(io.Discard, r)
		seen = append(seen, *c.Peer())
		c.Send(&transport.Payload{Kind: handshake})
	})
	for range 2 {
		_, err := ask(t, to, handshake)
		require.NoError(t, err)
	}
	require.Len(t, seen, 2)
	assert.True(t, seen[0].Fresh)
	assert.False(t, seen[1].Fresh)
	assert.Equal(t, seen[0].Browser, seen[1].Browser)
	to.HTTP.Jar, _ = cookiejar.New(nil)
	_, err := ask(t, to, handshake)
	require.NoError(t, err)
	assert.NotEqual(t, seen[0].Browser, seen[2].Browser)
}
