package server_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/server"
)

// A page of the same host is of another origin if it did not come by TLS: who
// sits on the network can put words into it.
func TestASameOriginPageMustComeByTLSWhereTheServerSeesTLS(t *testing.T) {
	for name, c := range map[string]struct {
		tls         bool
		http, https int
	}{
		"by TLS":      {true, http.StatusForbidden, http.StatusOK},
		"without TLS": {false, http.StatusOK, http.StatusOK}, // a proxy may have ended it
	} {
		t.Run(name, func(t *testing.T) {
			srv, err := cometd.NewServer()
			require.NoError(t, err)
			hs := httptest.NewUnstartedServer(srv)
			if c.tls {
				hs.StartTLS()
			} else {
				hs.Start()
			}
			defer hs.Close()
			defer srv.Close()
			host := hs.Listener.Addr().String()
			for origin, want := range map[string]int{"http://" + host: c.http, "https://" + host: c.https, "ws://" + host: 403, "HTTPS://" + host: c.https} {
				polled, upgraded := askedFrom(t, hs, origin)
				assert.Equal(t, want, polled, origin)
				assert.Equal(t, want == http.StatusOK, upgraded == http.StatusSwitchingProtocols, "%s: %d", origin, upgraded)
			}
		})
	}
}

// A browser says no port that its scheme has anyway; whoever makes the Host
// header may.
func TestASchemesOwnPortIsPartOfTheSameOriginSaidOrNot(t *testing.T) {
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	defer srv.Close()
	for _, c := range []struct {
		origin, host string
		want         int
	}{
		{"https://example.com", "example.com:443", http.StatusOK},
		{"https://example.com:443", "Example.com", http.StatusOK},
		{"http://example.com", "example.com:80", http.StatusOK},
		{"https://[::1]", "[::1]:443", http.StatusOK},
		{"https://example.com", "example.com:80", http.StatusForbidden},
		{"http://example.com", "example.com:443", http.StatusForbidden},
		{"https://example.com", "example.com:8443", http.StatusForbidden},
		{"https://example.com:8443", "example.com:443", http.StatusForbidden},
		{"https://evil.test", "example.com:443", http.StatusForbidden},
		{"https://example.com:80", "example.com:443", http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://"+c.host, strings.NewReader(`[{"channel":"/meta/handshake","id":"1"}]`))
		r.Header.Set("Origin", c.origin)
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		assert.Equal(t, c.want, w.Code, "%s at %s", c.origin, c.host)
	}
}

// An origin that is named is named with its scheme.
func TestAnOriginThatIsNamedMayBeAnHTTPPageOfTheSameHost(t *testing.T) {
	srv, err := cometd.NewServer(server.WithOrigins("http://same.test"))
	require.NoError(t, err)
	defer srv.Close()
	hs := httptest.NewTLSServer(srv)
	defer hs.Close()
	polled, upgraded := askedFrom(t, hs, "http://same.test")
	assert.Equal(t, http.StatusOK, polled)
	assert.Equal(t, http.StatusSwitchingProtocols, upgraded)
}

// No browser says more than scheme and host: what does is no origin, and might
// look like one that may come.
func TestAnOriginHasNoPathQueryOrFragment(t *testing.T) {
	srv, err := cometd.NewServer(server.WithOrigins("https://*.example.com", "https://named.test"))
	require.NoError(t, err)
	defer srv.Close()
	hs := httptest.NewServer(srv)
	defer hs.Close()
	for _, origin := range []string{"http://" + hs.Listener.Addr().String(), "https://a.example.com", "https://named.test"} {
		polled, _ := askedFrom(t, hs, origin)
		assert.Equal(t, http.StatusOK, polled, origin)
		for _, more := range []string{"/", "/evil", "?", "?q", "#", "#f", "/evil/.example.com"} {
			polled, upgraded := askedFrom(t, hs, origin+more)
			assert.Equal(t, http.StatusForbidden, polled, origin+more)
			assert.Equal(t, http.StatusForbidden, upgraded, origin+more)
		}
	}
	polled, _ := askedFrom(t, hs, "https://evil.test/.example.com")
	assert.Equal(t, http.StatusForbidden, polled)
}

// An operator sees who is kept out: a page that attacks a visitor, an origin that
// was forgotten, or a proxy that does not let Host pass. The line is one, and no
// longer than a page's owner may make it.
func TestPagesOfOtherOriginsAreCountedAndInTheLogButDoNotFillIt(t *testing.T) {
	var log journal
	var told []string
	srv, err := cometd.NewServer(logTo(&log, slog.LevelInfo), server.WithHooks(server.Hooks{Limited: func(limit string) { told = append(told, limit) }}))
	require.NoError(t, err)
	defer srv.Close()
	synctest.Test(t, func(t *testing.T) {
		asks := func(origin ...string) {
			r := httptest.NewRequest(http.MethodPost, "http://app.test/cometd", strings.NewReader("[]"))
			r.Header["Origin"] = origin
			w := httptest.NewRecorder()
			srv.ServeHTTP(w, r)
			require.Equal(t, http.StatusForbidden, w.Code)
			require.Less(t, w.Body.Len(), 500, "nor does the answer say it all")
		}
		asks("https://evil.test")
		for range 90 {
			asks("https://evil.test/\"\u202e\x1b[2J" + strings.Repeat("x", 20_000))
			time.Sleep(time.Second)
		}
		asks("http://app.test", "https://evil.test")
	})
	assert.EqualValues(t, 92, srv.Stats().Limited["origin"])
	assert.Equal(t, slices.Repeat([]string{"origin"}, 92), told)
	lines := log.lines("")
	require.Len(t, lines, 2)
	assert.Contains(t, lines[0], `level=WARN msg="page of another origin refused" origin=https://evil.test host=app.test addr=192.0.2.1:1234 times=1`)
	assert.Contains(t, lines[1], `times=61`)
	assert.Contains(t, lines[1], `origin="https://evil.test/\" [2Jxxx`)
	assert.Less(t, len(lines[1]), 500)
}

// askedFrom handshakes and upgrades as a page of origin does, and returns what
// each got.
func askedFrom(t *testing.T, hs *httptest.Server, origin string) (polled, upgraded int) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hs.URL, strings.NewReader(`[{"channel":"/meta/handshake","id":"1"}]`))
	require.NoError(t, err)
	r.Header.Set("Origin", origin)
	resp, err := hs.Client().Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	ws, up, err := websocket.Dial(t.Context(), hs.URL, &websocket.DialOptions{HTTPClient: hs.Client(), HTTPHeader: http.Header{"Origin": {origin}}})
	if err == nil {
		ws.CloseNow()
	}
	require.NotNil(t, up, err)
	return resp.StatusCode, up.StatusCode
}
