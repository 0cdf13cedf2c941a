package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

func TestWithNodeSessionIDsBeginWithTheNode(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session()
		assert.Regexp(t, `^eu1[a-z2-7]{32}$`, c.id)
		assert.NotNil(t, w.Session(c.id))
	}, server.WithNode("eu1"))
	for _, bad := range []string{"", "eu-1", "eu/1", "é"} {
		_, err := server.New(server.WithNode(bad))
		assert.ErrorContains(t, err, "server: node", bad)
	}
}

func TestWithFlushDelayASocketCollectsForThatLong(t *testing.T) {
	const delay = 50 * time.Millisecond
	sent := newFrames()
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.all()
		sent.forget()
		begin := time.Now()
		for i := range 3 {
			require.NoError(t, w.Publish(t.Context(), "/a", i))
			time.Sleep(delay / 5)
		}
		assert.Empty(t, sent.take())
		assert.Equal(t, []string{"0", "1", "2"}, c.data(3))
		assert.Equal(t, delay, time.Since(begin))
		w.settle()
		assert.Equal(t, []int{3}, sent.take())
		assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/b","id":"p","clientId":"$","data":1}`).Outcome)
		assert.Equal(t, 2*delay, time.Since(begin), "replies too")
	}, server.WithFlushDelay(delay), sent.hook())
	synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
		c := w.session("/a")
		begin := time.Now()
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, []string{"1"}, c.data(1))
		assert.Equal(t, begin, time.Now(), "a request is no stream")
	}, server.WithFlushDelay(delay))
	_, err := server.New(server.WithFlushDelay(-1))
	assert.ErrorContains(t, err, "server: flush delay")
}

// countedJSON is a codec that counts.
type countedJSON struct{ marshaled, unmarshaled atomic.Int32 }

func (c *countedJSON) Marshal(v any) ([]byte, error) { c.marshaled.Add(1); return json.Marshal(v) }
func (c *countedJSON) Unmarshal(b []byte, v any) error {
	c.unmarshaled.Add(1)
	return json.Unmarshal(b, v)
}

func TestWithJSONTheApplicationsCodecReadsAndWritesItsData(t *testing.T) {
	j := new(countedJSON)
	everywhere(t, func(t *testing.T, w *world) {
		type quote struct{ Price int }
		w.HandleService("/service/double", server.Typed(func(_ context.Context, _ *server.Session, q quote) (quote, error) { return quote{2 * q.Price}, nil }))
		c := w.session("/quotes", "/again")
		j.marshaled.Store(0)
		j.unmarshaled.Store(0)
		require.NoError(t, w.Publish(t.Context(), "/quotes", quote{7}))
		require.NoError(t, w.Session(c.id).Send("/quotes", quote{8}))
		assert.EqualValues(t, 2, j.marshaled.Load(), "once each")
		c.send(`{"channel":"/service/double","id":"d","clientId":"$","data":{"Price":21}}`)
		assert.Equal(t, []string{`{"Price":7}`, `{"Price":8}`, `{"Price":42}`}, c.data(3))
		assert.EqualValues(t, 3, j.marshaled.Load())
		assert.EqualValues(t, 1, j.unmarshaled.Load())
	}, server.WithJSON(j))
	_, err := server.New(server.WithJSON(nil))
	assert.ErrorContains(t, err, "server: JSON")
}

func TestWithCookieTheCookieHasItsNameAndAttributes(t *testing.T) {
	wanted := http.Cookie{Name: "tie", Domain: "example.com", Path: "/cometd", SameSite: http.SameSiteStrictMode, MaxAge: 60, Value: "not this"}
	srv, err := cometd.NewServer(server.WithCookie(wanted))
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer srv.Close()
	for name, got := range map[string]*http.Cookie{"long-polling": polledCookie(t, hs, ""), "websocket": upgradeCookie(t, hs)} {
		require.NotNil(t, got, name)
		assert.NotEqual(t, "not this", got.Value)
		assert.True(t, got.HttpOnly, "always")
		assert.False(t, got.Secure, "the request is not")
		got.Value, got.Raw, got.HttpOnly = "not this", "", false
		assert.Equal(t, &wanted, got, name)
	}
	assert.Nil(t, polledCookie(t, hs, "tie=known"), "whoever has one gets no other")
	assert.NotNil(t, polledCookie(t, hs, "BAYEUX_BROWSER=known"), "that is another one")
	_, err = server.New(server.WithCookie(http.Cookie{Name: "a;b"}))
	assert.ErrorContains(t, err, "server: cookie")
}

// polledCookie is what a handshake by polling sets.
func polledCookie(t *testing.T, hs *httptest.Server, has string) *http.Cookie {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hs.URL, strings.NewReader(`[{"channel":"/meta/handshake","id":"1"}]`))
	require.NoError(t, err)
	r.Header.Set("Cookie", has)
	resp, err := hs.Client().Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	return only(resp.Cookies())
}

// upgradeCookie is what an upgrade sets.
func upgradeCookie(t *testing.T, hs *httptest.Server) *http.Cookie {
	ws, resp, err := websocket.Dial(t.Context(), hs.URL, nil)
	require.NoError(t, err)
	ws.CloseNow()
	return only(resp.Cookies())
}

func only(cookies []*http.Cookie) *http.Cookie {
	if len(cookies) != 1 {
		return nil
	}
	return cookies[0]
}
