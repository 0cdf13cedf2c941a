package server_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/wsserver"
)

// breaches are each limit and what breaks it, over a WebSocket unless typ says
// otherwise.
var breaches = []struct {
	limit  string
	typ    string
	limits server.Limits
	breaks func(w *world)
}{
	{"message_bytes", "", server.Limits{MessageBytes: 1000}, func(w *world) { w.client().raw(`[{"channel":"/a","data":"` + strings.Repeat("x", 2000) + `"}]`) }},
	{"batch_messages", "", server.Limits{BatchMessages: 1}, func(w *world) { w.client().send(`{"channel":"/a"}`, `{"channel":"/a"}`) }},
	{"depth", "", server.Limits{Depth: 5}, func(w *world) { w.client().send(`{"channel":"/a","ext":{"a":[[[[[[]]]]]]}}`) }},
	{"data_depth", "", server.Limits{DataDepth: 5}, func(w *world) { w.client().send(`{"channel":"/a","data":[[[[[[]]]]]]}`) }},
	{"header_bytes", "", server.Limits{HeaderBytes: 100}, func(w *world) {
		c := w.client()
		c.target.Header = http.Header{"User-Agent": {strings.Repeat("x", 200)}}
		c.handshake()
	}},
	{"id_bytes", "", server.Limits{IDBytes: 3}, func(w *world) { w.session().send(`{"channel":"/a","clientId":"$","data":1,"id":"1234"}`) }},
	{"session_queue", "", server.Limits{SessionMessages: 2}, func(w *world) { w.flood() }},
	{"server_bytes", "", server.Limits{ServerBytes: 1000}, func(w *world) { w.flood() }},
	{"latest_bytes", "", server.Limits{LatestBytes: 150}, func(w *world) {
		require.NoError(w.t, w.Configure("/**", server.ChannelOptions{SendLast: true}))
		c := w.session()
		for _, ch := range []string{"/a", "/b"} {
			c.ask(`{"channel":"` + ch + `","id":"p","clientId":"$","data":1}`)
		}
	}},
	{"subscriptions", "", server.Limits{Subscriptions: 1}, func(w *world) { w.session("/a").subscribes("/b") }},
	{"channel_bytes", "", server.Limits{ChannelBytes: 5}, func(w *world) { w.session().subscribes("/123456") }},
	{"channel_segments", "", server.Limits{ChannelSegments: 2}, func(w *world) { w.session().subscribes("/a/b/c") }},
	{"channels_created", "", server.Limits{ChannelsCreated: 1}, func(w *world) { w.session("/a").subscribes("/b") }},
	{"channels", "", server.Limits{Channels: 6}, func(w *world) { w.session("/a").subscribes("/b") }},
	{"channels_per_addr", "", server.Limits{ChannelsPerAddr: 1}, func(w *world) { w.session("/a").subscribes("/b") }},
	{"sessions", "", server.Limits{Sessions: 1}, func(w *world) { w.session(); w.client().asksHandshake() }},
	{"sessions_per_addr", "", server.Limits{SessionsPerAddr: 1}, func(w *world) { w.session(); w.client().asksHandshake() }},
	{"handshake_rate", "", server.Limits{HandshakeRate: 0.01}, func(w *world) { w.session(); w.client().asksHandshake() }},
	{"conns", "", server.Limits{Conns: 1}, func(w *world) { w.session(); post(w.t, w.http.URL, `[]`) }},
	{"conns_per_addr", "", server.Limits{ConnsPerAddr: 1}, func(w *world) { w.session(); post(w.t, w.http.URL, `[]`) }},
	{"held_per_browser", bayeux.LongPolling, server.Limits{}, func(w *world) { w.tabs(w.http) }},
	{"held_per_browser_http2", bayeux.LongPolling, server.Limits{HeldPerBrowserHTTP2: 1}, func(w *world) {
		hs := httptest.NewUnstartedServer(w.Server)
		hs.EnableHTTP2 = true
		hs.StartTLS()
		w.tabs(hs)
		hs.Close()
	}},
	{"header", bayeux.LongPolling, server.Limits{Header: patience}, func(w *world) {
		hs := httptest.NewUnstartedServer(w.Server)
		hs.Config.ConnState = w.ConnState
		hs.Start()
		half, in := say(w.t, hs, "POST / HTTP/1.1\r\nHost: x")
		io.Copy(io.Discard, in)
		half.Close()
		hs.Close()
	}},
	{"handshake", "", server.Limits{Handshake: 20 * time.Millisecond}, func(w *world) { w.client().conn() }},
	{"body", bayeux.LongPolling, server.Limits{Body: 20 * time.Millisecond}, func(w *world) {
		half, in := say(w.t, w.http, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n[")
		io.Copy(io.Discard, in)
		half.Close()
	}},
	{"write", "", server.Limits{Write: 50 * time.Millisecond, SessionBytes: -1}, func(w *world) { w.neverReads() }},
	{"callback", bayeux.CallbackPolling, server.Limits{}, func(w *world) {
		r, err := http.Get(w.http.URL + "?" + url.Values{"jsonp": {strings.Repeat("a", 65)}, "message": {"[]"}}.Encode())
		require.NoError(w.t, err)
		r.Body.Close()
		http.DefaultClient.CloseIdleConnections()
	}},
}

func (c *wire) subscribes(ch string) {
	c.ask(fmt.Sprintf(`{"channel":"/meta/subscribe","id":"x","clientId":"$","subscription":%q}`, ch))
}

func (c *wire) asksHandshake() { c.ask(`{"channel":"/meta/handshake","id":"x","version":"1.0"}`) }

// flood queues more for a session than a limit allows.
func (w *world) flood() {
	s := w.Session(w.session().id)
	s.Batch(func() {
		for range 10 {
			require.NoError(w.t, s.Send("/a", strings.Repeat("x", 200)))
		}
	})
}

// tabs are two sessions of one browser, who both want their connect held.
func (w *world) tabs(hs *httptest.Server) {
	at, err := url.Parse(hs.URL)
	require.NoError(w.t, err)
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	for range 2 {
		c := w.client()
		c.target.URL, c.target.HTTP = at, &http.Client{Jar: jar, Transport: hs.Client().Transport}
		c.handshake()
		c.connect("1")
		c.expect(bayeux.MetaConnect, "1")
		c.connect("2")
		if len(w.wire) == 1 {
			c.eventually(func() bool { return w.Session(c.id).Holds("2") })
		} else {
			assert.True(w.t, c.expect(bayeux.MetaConnect, "2").Advice.MultipleClients)
		}
	}
	for _, c := range w.wire {
		c.cut()
	}
}

// neverReads is a subscriber for whom more is published than the network holds.
func (w *world) neverReads() {
	ws, _, err := websocket.Dial(w.t.Context(), w.http.URL, nil)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { ws.CloseNow() })
	require.NoError(w.t, ws.Write(w.t.Context(), websocket.MessageText, []byte(`[{"channel":"/meta/handshake","id":"1"}]`)))
	_, b, err := ws.Read(w.t.Context())
	require.NoError(w.t, err)
	s := w.Session(parse(w.t, string(b))[0]["clientId"].(string))
	require.NoError(w.t, ws.Write(w.t.Context(), websocket.MessageText, []byte(`[{"channel":"/a","clientId":"`+s.ID()+`"}]`)))
	for begin := time.Now(); w.Stats().Limited["write"] == 0 && time.Since(begin) < 20*time.Second; time.Sleep(time.Millisecond) {
		if s.Outbox().Bytes() < 1<<20 {
			require.NoError(w.t, s.Send("/a", strings.Repeat("x", 1<<20)))
		}
	}
}

// Whichever limit a peer breaks, an operator finds it in the log, by the name that
// the count has.
func TestEveryLimitIsInTheLogByItsName(t *testing.T) {
	known := map[string]bool{}
	for _, x := range breaches {
		known[x.limit] = true
		t.Run(x.limit, func(t *testing.T) {
			var log journal
			w := newRealWorld(t, x.typ, server.WithLimits(x.limits), server.WithTiming(server.Timing{Sweep: 20 * time.Millisecond}), logTo(&log, slog.LevelWarn),
				server.WithTransports(wsserver.NewAcceptor(), longpoll.NewAcceptor(), longpoll.NewCallbackAcceptor()))
			if x.typ == "" {
				w.typ = bayeux.WebSocket
			}
			defer w.end()
			x.breaks(w)
			require.Eventually(t, func() bool { return len(log.lines("limit="+x.limit+" addr=")) > 0 }, 20*time.Second, 5*time.Millisecond)
			lines := log.lines("limit=" + x.limit + " ")
			assert.Len(t, lines, 1)
			assert.Regexp(t, `level=WARN msg="limit reached" limit=\w+ addr=127\.0\.0\.1:\d+ (session=\S+ )?times=1\b`, lines[0])
			assert.NotZero(t, w.Stats().Limited[x.limit])
		})
	}
	for _, name := range limitNames(t) {
		assert.True(t, known[name], "nothing here breaks %s", name)
	}
}

// limitNames are the limits that the source has.
func limitNames(t *testing.T) (names []string) {
	for _, file := range []string{"limits.go", "../transport/peer.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		all := regexp.MustCompile(`(?m)^\s+[lL]imit\w+ += "(\w+)"`).FindAllSubmatch(source, -1)
		require.NotEmpty(t, all)
		for _, name := range all {
			names = append(names, string(name[1]))
		}
	}
	return names
}
