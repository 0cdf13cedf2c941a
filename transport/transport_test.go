package transport

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAPayloadIsAnArrayOfTheLengthItSays(t *testing.T) {
	for _, c := range []struct {
		messages []string
		want     string
	}{
		{nil, `[]`},
		{[]string{`{}`}, `[{}]`},
		{[]string{`{"a":1}`, `{"b":2}`, `3`}, `[{"a":1},{"b":2},3]`},
	} {
		p := &Payload{}
		for _, m := range c.messages {
			p.Messages = append(p.Messages, []byte(m))
		}
		assert.Equal(t, "x"+c.want, string(p.AppendTo([]byte("x"))))
		assert.Equal(t, len(c.want), p.Len())
	}
}

func TestAKindIsNamedAsItsChannel(t *testing.T) {
	for k, want := range map[Kind]string{Other: "other", Handshake: "handshake", Connect: "connect", Disconnect: "disconnect", Subscribe: "subscribe", Unsubscribe: "unsubscribe", 99: "other", -1: "other"} {
		assert.Equal(t, want, k.String())
	}
}

func TestEveryReasonHasItsRow(t *testing.T) {
	names := map[string]bool{}
	for r := Normal; r <= Internal; r++ {
		assert.False(t, names[r.String()], "%v: name is taken", r)
		names[r.String()] = true
		assert.NotEmpty(t, r.Text())
		assert.LessOrEqual(t, len(r.Text()), 30, "%v: a close frame's reason is cut to 30 bytes by some", r)
		assert.NotEmpty(t, http.StatusText(r.Status()), r)
		assert.True(t, r == Normal || r.Status() >= 400, r)
		assert.True(t, r.CloseCode() >= 1000 && r.CloseCode() <= 1013 || r.CloseCode() >= 4000 && r.CloseCode() < 5000, r)
		if r != Idle { // it shares its code with GoingAway
			assert.Equal(t, r, CodeReason(r.CloseCode()), "the code leads back")
		}
	}
	assert.Equal(t, "reason(99)", Reason(99).String())
	assert.Equal(t, []any{500, 1011, false, "internal error"}, []any{Reason(-1).Status(), Reason(99).CloseCode(), Reason(99).Final(), Reason(99).Text()})
}

func TestFinalReasonsAreThoseWhereComingBackCannotHelp(t *testing.T) {
	var final []Reason
	for r := Normal; r <= Internal; r++ {
		if r.Final() {
			final = append(final, r)
		}
	}
	assert.Equal(t, []Reason{Normal, Forbidden, Kicked}, final)
}

func TestForeignCodesAndStatusesHaveAReason(t *testing.T) {
	for code, want := range map[int]Reason{1000: Normal, 1005: Normal, 1001: GoingAway, 1012: GoingAway, 1002: BadPayload, 1003: BadPayload, 1006: Internal, 3000: Internal, 0: Internal} {
		assert.Equal(t, want, CodeReason(code), code)
	}
	for status, want := range map[int]Reason{400: BadPayload, 401: Forbidden, 403: Forbidden, 404: Internal, 408: Stalled, 410: Expired, 413: TooLarge, 415: BadPayload, 422: BadPayload, 429: Overflow, 500: Internal, 502: GoingAway, 503: GoingAway, 504: Stalled, 302: Internal, 204: Internal} {
		assert.Equal(t, want, StatusReason(status), status)
	}
}

func TestReasonOfAnError(t *testing.T) {
	for err, want := range map[error]Reason{
		io.EOF:            Normal,
		ErrClosed:         Normal,
		ErrTooLarge:       TooLarge,
		errors.New("x"):   Internal,
		io.ErrClosedPipe:  Internal,
		&Error{Reason: 3}: BadPayload,
		fmt.Errorf("x: %w", &Error{Reason: Stalled}): Stalled,
	} {
		assert.Equal(t, want, ReasonOf(err), err)
	}
	assert.Equal(t, Normal, ReasonOf(nil))
}

func TestAnErrorSaysAllInOneLine(t *testing.T) {
	for _, c := range []struct {
		err  Error
		want string
	}{
		{Error{Type: "websocket", Op: "dial", Reason: Internal, Err: io.ErrUnexpectedEOF}, `transport: websocket dial: unexpected EOF`},
		{Error{Type: "websocket", Op: "receive", Reason: Kicked}, `transport: websocket receive: ended by the application`},
		{Error{Type: "websocket", Op: "receive", Reason: Internal}, `transport: websocket receive: internal error`},
		{Error{Type: "long-polling", Op: "receive", Status: 503, Reason: GoingAway, RetryAfter: 2 * time.Second, Detail: "a\nb"},
			`transport: long-polling receive: 503 Service Unavailable, retry after 2s: "a\nb"`},
		{Error{Type: "websocket", Op: "dial", Status: 302, Location: "/login", Err: ErrUnsupported},
			`transport: websocket dial: 302 Found to "/login": transport: not supported here`},
		{Error{Type: "websocket", Op: "receive", Reason: TooLarge, Limit: 100}, `transport: websocket receive: the payload is too large: limit is 100 bytes`},
		{Error{Op: "dial", Status: 999}, `transport: dial: 999`},
	} {
		assert.EqualError(t, &c.err, c.want)
	}
}

func TestErrorsAnswerIs(t *testing.T) {
	assert.ErrorIs(t, &Error{Status: 401}, ErrUnauthorized)
	assert.NotErrorIs(t, &Error{Status: 403}, ErrUnauthorized)
	assert.ErrorIs(t, &Error{Status: 413}, ErrTooLarge)
	assert.ErrorIs(t, &Error{Reason: TooLarge}, ErrTooLarge)
	assert.ErrorIs(t, &Error{Status: 404, Err: ErrUnsupported}, ErrUnsupported)
	assert.ErrorIs(t, &Error{Err: ErrClosed}, ErrClosed)
	assert.NotErrorIs(t, &Error{}, ErrClosed)
}

func TestAPeerHasTheKeptHeadersAndItsBrowser(t *testing.T) {
	r := httptest.NewRequest("POST", "https://h/p?q=1", nil)
	r.Header = http.Header{"User-Agent": {"ua"}, "X-Secret": {"s"}, "Cookie": {"a=b; BAYEUX_BROWSER=known; c=d"}}
	a := &Accept{Headers: []string{"User-Agent", "Origin"}}
	p := a.Peer(r)
	assert.Equal(t, http.Header{"User-Agent": {"ua"}}, p.Header)
	assert.Equal(t, "known", p.Browser)
	assert.False(t, p.Fresh)
	assert.Equal(t, r.RemoteAddr, p.Addr)
	assert.Equal(t, "/p?q=1", p.URL.RequestURI())
	assert.Equal(t, 1, p.Proto)
	assert.NotNil(t, p.TLS)

	a.Cookie = &http.Cookie{Name: "c"}
	assert.Equal(t, "d", a.Peer(r).Browser)
	a.Cookie.Name = "none"
	one, two := a.Peer(r), a.Peer(r)
	assert.True(t, one.Fresh)
	assert.Regexp(t, `^[A-Z2-7]{26}$`, one.Browser)
	assert.NotEqual(t, one.Browser, two.Browser)
}

// A peer is kept for as long as its session: what it may weigh is bounded.
func TestAPeerKeepsNoMoreOfARequestThanTheLimit(t *testing.T) {
	big := strings.Repeat("x", 1000)
	var broken []string
	a := &Accept{Headers: []string{"X-First", "Cookie", "Origin"}, HeaderBytes: 500, Limited: func(_ *http.Request, limit string) { broken = append(broken, limit) }}
	r := httptest.NewRequest("GET", "/p?q=1", nil)
	r.Header = http.Header{"X-First": {"1", "2"}, "Cookie": {"BAYEUX_BROWSER=known", big}, "Origin": {"http://x"}}
	p := a.Peer(r)
	assert.Equal(t, http.Header{"X-First": {"1", "2"}, "Origin": {"http://x"}}, p.Header, "whole or not at all")
	assert.Equal(t, "known", p.Browser)
	assert.Equal(t, []string{"header_bytes"}, broken)

	p = a.Peer(httptest.NewRequest("GET", "/p?q="+big, nil))
	assert.Equal(t, "/p", p.URL.RequestURI())
	assert.Nil(t, a.Peer(httptest.NewRequest("GET", "/"+big, nil)).URL)
	assert.Len(t, broken, 3)

	a.HeaderBytes = 0
	assert.Equal(t, r.Header, a.Peer(r).Header, "no bound")
	r.Header.Set("Cookie", "BAYEUX_BROWSER="+big)
	assert.True(t, a.Peer(r).Fresh, "nobody's cookie is so long")
	assert.Len(t, broken, 3)
}

// What a session keeps is not all: strings may hold the whole line that they
// were cut out of.
func TestAPeerHoldsNoMoreMemoryThanTheLimit(t *testing.T) {
	const limit, peers, line = 8 << 10, 6, 1 << 20
	long := strings.Repeat("x", line)
	for name, request := range map[string]string{
		"a cookie beside ours":    "POST /cometd HTTP/1.1\r\nHost: h\r\nCookie: BAYEUX_BROWSER=known; a=" + long + "\r\n\r\n",
		"many empty values":       "POST /cometd HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\n" + strings.Repeat("Cookie:\r\n", line/16) + "\r\n",
		"many empty values, kept": "POST /cometd HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("Origin:\r\n", 1000) + "\r\n",
		"a host in the URL":       "POST http://" + long + "/cometd HTTP/1.1\r\nHost: h\r\n\r\n",
		"a user in the URL":       "POST http://" + long + "@h/cometd HTTP/1.1\r\nHost: h\r\n\r\n",
		"a scheme in the URL":     "POST " + long + "://h/cometd HTTP/1.1\r\nHost: h\r\n\r\n",
		"a URL that is no path":   "POST http:" + long + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"a query":                 "POST /cometd?" + long + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"a path":                  "POST /" + long + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"other headers":           "POST /cometd HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nX-Other: " + long + "\r\n\r\n",
		"an address of a proxy's": "POST /cometd HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.1, " + long + "\r\n\r\n",
		"a name for TLS":          "POST /cometd HTTP/1.1\r\nHost: h\r\nX-Server-Name: " + long[:60_000] + "\r\n\r\n",
	} {
		a := &Accept{Headers: []string{"Origin", "Cookie"}, HeaderBytes: limit}
		kept := make([]*Peer, peers)
		before := heap()
		for i := range kept {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
			require.NoError(t, err, name)
			r.RemoteAddr, _, _ = strings.Cut(r.Header.Get("X-Forwarded-For"), ",") // as a middleware does
			r.TLS = &tls.ConnectionState{ServerName: r.Header.Get("X-Server-Name")}
			kept[i] = a.Peer(r)
		}
		each := (heap() - before) / peers
		assert.Less(t, each, int64(2*limit), "%s: bytes for each of %d", name, len(kept))
		runtime.KeepAlive(kept)
	}
}

// heap is how many bytes are held.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what sync.Pools held
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A page of a sibling host, or a path of this one, may have set another of that name.
func TestTheFirstCookieThatCanBeOursIsTheBrowsers(t *testing.T) {
	for _, before := range []string{"", "BAYEUX_BROWSER=; ", "BAYEUX_BROWSER=" + strings.Repeat("x", 257) + "; ", `BAYEUX_BROWSER=""; a=b; BAYEUX_BROWSER=; `} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Cookie", before+"BAYEUX_BROWSER=known; BAYEUX_BROWSER=later")
		p := new(Accept).Peer(r)
		assert.Equal(t, "known", p.Browser, before)
		assert.False(t, p.Fresh, before)
	}
}

func TestAnEmptyCookieIsNone(t *testing.T) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Cookie", "BAYEUX_BROWSER=")
	p := new(Accept).Peer(r)
	assert.True(t, p.Fresh)
	assert.NotEmpty(t, p.Browser)
}

func TestTheBrowserCookieIsSecureOverTLSAndWhereConfigured(t *testing.T) {
	plain, proxied, secure := httptest.NewRequest("POST", "/", nil), httptest.NewRequest("POST", "/", nil), httptest.NewRequest("POST", "/", nil)
	proxied.Header.Set("X-Forwarded-Proto", "https")
	secure.TLS = &tls.ConnectionState{}
	for _, c := range []struct {
		template *http.Cookie
		r        *http.Request
		want     string
	}{
		{nil, plain, "BAYEUX_BROWSER=v; Path=/; HttpOnly"},
		{nil, proxied, "BAYEUX_BROWSER=v; Path=/; HttpOnly"},
		{nil, secure, "BAYEUX_BROWSER=v; Path=/; HttpOnly; Secure"},
		{&http.Cookie{Name: "__Host-B", Secure: true}, plain, "__Host-B=v; Path=/; HttpOnly; Secure"},
		{&http.Cookie{Secure: true}, proxied, "BAYEUX_BROWSER=v; Path=/; HttpOnly; Secure"},
		{&http.Cookie{Name: "N", Path: "/p", Domain: "d.example", MaxAge: 60, Partitioned: true}, secure,
			"N=v; Path=/p; Domain=d.example; Max-Age=60; HttpOnly; Secure; Partitioned"},
	} {
		a := &Accept{Cookie: c.template}
		assert.Equal(t, c.want, a.BrowserCookie(c.r, &Peer{Browser: "v"}).String())
	}
	a := &Accept{Cookie: &http.Cookie{}}
	require.NotSame(t, a.Cookie, a.BrowserCookie(plain, &Peer{Browser: "v"}))
	assert.Empty(t, a.Cookie.Value, "the template is not changed")
}

// What may be secret in a URL is not for errors and logs.
func TestRedactedShowsNamesOnly(t *testing.T) {
	for raw, want := range map[string]string{
		"http://host/cometd":                   "http://host/cometd",
		"http://u:secret@host/a?x=secret&y=":   "http://u:xxxxx@host/a?x=xxxxx&y=xxxxx",
		"http://host/a?secret":                 "http://host/a?xxxxx",
		"https://host/a?token=sec=ret&=secret": "https://host/a?token=xxxxx&=xxxxx",
		"https://host/a#token=secret":          "https://host/a",
	} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		assert.Equal(t, want, Redacted(u))
		assert.Equal(t, raw, u.String(), "the URL itself is as it was")
		e := &Error{Type: "x", Op: "dial", Status: 302, Location: raw, Detail: "see " + raw}
		assert.NotContains(t, e.Error(), "secret")
		assert.Contains(t, e.Error(), strconv.Quote(want))
	}
	for _, raw := range []string{"http://[/?secret", "http://[/#secret"} {
		e := &Error{Type: "x", Op: "dial", Status: 302, Location: raw}
		assert.NotContains(t, e.Error(), "secret")
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"120":                           2 * time.Minute,
		"-1":                            0,
		"soon":                          0,
		"999999999":                     24 * time.Hour,
		"4294967296":                    24 * time.Hour,
		"99999999999999999999":          24 * time.Hour,
		"-99999999999999999999":         0,
		"Sat, 21 Nov 2026 12:00:30 GMT": 30 * time.Second,
		"Sat, 21 Nov 2026 11:00:00 GMT": 0,
		"Sat, 21 Nov 2099 12:00:30 GMT": 24 * time.Hour,
	} {
		assert.Equal(t, want, RetryAfter(v, now), v)
	}
}

func TestAPeerShowsNoSecretWhateverPrintsIt(t *testing.T) {
	p := &Peer{Type: "websocket", Addr: "10.0.0.1:99", Browser: "biscuit", Header: http.Header{"Authorization": {"Bearer swordfish"}}}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "peer", p)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "peer", p)
	text := fmt.Sprintf("%v %+v %#v %s %q %x", p, p, p, p, p, p) + fmt.Sprint(p, []*Peer{p}) + log.String()
	assert.Contains(t, text, "websocket 10.0.0.1:99")
	assert.NotContains(t, text, "biscuit")
	assert.NotContains(t, text, "swordfish")
	assert.Equal(t, "none", fmt.Sprint((*Peer)(nil)))
	assert.Equal(t, "websocket", (&Peer{Type: "websocket"}).String())
}
