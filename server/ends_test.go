package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

// What this side ends a connection for is what hooks are told, and not what
// the end looks like to the one who reads.
func TestTheReasonOfAnEndIsTheOneItWasEndedFor(t *testing.T) {
	rows := []struct {
		why  transport.Reason
		does func(w *world, c *wire)
	}{
		{transport.Normal, func(_ *world, c *wire) { c.stream.Close(transport.Normal) }},
		{transport.Idle, func(*world, *wire) {}}, // no handshake
		{transport.Overflow, func(w *world, c *wire) {
			c.handshake()
			c.begin()
			s := w.Session(c.id)
			s.Batch(func() {
				for range 20 {
					s.Send("/a", strings.Repeat("x", 100))
				}
			})
		}},
		{transport.GoingAway, func(w *world, c *wire) { c.handshake(); w.Shutdown(context.Background()) }},
		{transport.BadPayload, func(_ *world, c *wire) { c.raw("[7]") }},
		{transport.TooLarge, func(_ *world, c *wire) { c.send(`{"channel":"/a"}`, `{"channel":"/a"}`, `{"channel":"/a"}`) }},
		{transport.TooLarge, func(_ *world, c *wire) {
			c.send(`{"channel":"/a","ext":{"a":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}}`)
		}},
		{transport.TooLarge, func(_ *world, c *wire) { c.raw(strings.Repeat(" ", 10_000)) }},
	}
	for i, r := range rows {
		t.Run(fmt.Sprint(i, " ", r.why), func(t *testing.T) {
			var ended atomic.Pointer[transport.Reason]
			onStreams(t, func(t *testing.T, w *world) {
				c := w.client()
				c.ask(`{"channel":"/meta/connect","id":"1","clientId":"nope"}`) // opens it
				r.does(w, c)
				c.eventually(func() bool { return ended.Load() != nil })
				assert.Equal(t, r.why, *ended.Swap(nil))
			}, server.WithHooks(server.Hooks{ConnClosed: func(_ *transport.Peer, why transport.Reason, _ error) { ended.Store(&why) }}),
				server.WithLimits(server.Limits{SessionBytes: 1000, BatchMessages: 2, Depth: 20, MessageBytes: 8000, Handshake: time.Second}),
				server.WithTiming(server.Timing{Sweep: 50 * time.Millisecond}))
		})
	}
}

// onStreams runs a test over a stream, in fake time and over a real WebSocket.
func onStreams(t *testing.T, f func(t *testing.T, w *world), opts ...server.Option) {
	t.Run("memory", func(t *testing.T) { synced(t, bayeux.WebSocket, f, opts...) })
	t.Run("websocket", func(t *testing.T) {
		w := newRealWorld(t, bayeux.WebSocket, opts...)
		defer w.end()
		f(t, w)
	})
}

// Who said goodbye and leaves the socket open has kept its time to handshake.
func TestASocketThatHadASessionBreaksNoLimitByStaying(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		c.ask(`{"channel":"/meta/disconnect","id":"1","clientId":"$"}`)
		c.broken()
		assert.Empty(t, w.Stats().Limited)
	})
}

func TestASocketWithoutAHandshakeIsToldTheLimit(t *testing.T) {
	w := newRealWorld(t, bayeux.WebSocket, server.WithLimits(server.Limits{Handshake: 500 * time.Millisecond}), server.WithTiming(server.Timing{Sweep: 20 * time.Millisecond}))
	defer w.end()
	c := w.client()
	c.ask(`{"channel":"/meta/connect","id":"1","clientId":"nope"}`)
	assert.ErrorContains(t, c.broken(), "no handshake within 500ms")
}

// Two Origin headers are no browser's: one of them may be what the check wants
// to see, and the other what somebody behind it believes.
func TestARequestWithTwoOriginsIsRefused(t *testing.T) {
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	defer srv.Close()
	r := httptest.NewRequest("POST", "/", strings.NewReader(`[{"channel":"/meta/handshake","id":"1"}]`))
	r.Header["Origin"] = []string{"http://" + r.Host, "http://evil.test"}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	assert.Equal(t, http.StatusForbidden, w.Code)
}

// An answer that leaves the body unread does not wait for it.
func TestARefusalDoesNotWaitForTheBody(t *testing.T) {
	srv, err := server.New(server.WithTransports(wsserver.NewAcceptor(), longpoll.NewAcceptor(), longpoll.NewCallbackAcceptor()),
		server.WithLimits(server.Limits{Body: time.Minute, Conns: 1}))
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer srv.Close()
	upgrade := "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	for head, status := range map[string]string{
		"POST / HTTP/1.1\r\nOrigin: http://evil.test": "403",
		"GET / HTTP/1.1":                        "400",
		"GET / HTTP/1.1\r\n" + upgrade:          "400",
		"GET /?jsonp=a&message=%5B%5D HTTP/1.1": "400",
		"OPTIONS / HTTP/1.1":                    "200",
		"OPTIONS / HTTP/1.1\r\nOrigin: http://x\r\nAccess-Control-Request-Method: PUT": "200",
		"DELETE / HTTP/1.1":                         "400",
		"POST / HTTP/1.1\r\nContent-Encoding: gzip": "415",
	} {
		for _, body := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
			require.Eventually(t, func() bool { return srv.Stats().Conns == 0 }, 10*time.Second, time.Millisecond)
			assert.Contains(t, answerTo(t, hs, head+"\r\nHost: x\r\n"+body+"\r\n\r\n"), status, "%s %s", head, body)
		}
	}
	half, _ := say(t, hs, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n[")
	defer half.Close()
	require.Eventually(t, func() bool { return srv.Stats().Conns == 1 }, 10*time.Second, time.Millisecond)
	assert.Contains(t, answerTo(t, hs, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"), "503")
}

func say(t *testing.T, hs *httptest.Server, text string) (net.Conn, *bufio.Reader) {
	c, err := net.Dial("tcp", hs.Listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	return c, bufio.NewReader(c)
}

func answerTo(t *testing.T, hs *httptest.Server, text string) string {
	c, in := say(t, hs, text)
	defer c.Close()
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	return line
}

// A time for bodies cuts neither a connect that is held beyond it nor, on
// HTTP/2, anything else of the connection.
func TestAHeldConnectOutlivesTheTimeOfItsBody(t *testing.T) {
	for _, proto := range []int{1, 2} {
		t.Run(fmt.Sprint("HTTP/", proto), func(t *testing.T) {
			srv, err := cometd.NewServer(server.WithLimits(server.Limits{Body: 500 * time.Millisecond}), server.WithTiming(server.Timing{Timeout: 2 * time.Second}))
			require.NoError(t, err)
			hs := httptest.NewUnstartedServer(srv)
			hs.EnableHTTP2 = proto == 2
			hs.StartTLS()
			defer hs.Close()
			defer srv.Close()
			ask := func(text, cookie string) (*http.Response, []message) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hs.URL, strings.NewReader(text))
				require.NoError(t, err)
				req.Header.Set("Cookie", cookie)
				resp, err := hs.Client().Do(req)
				require.NoError(t, err)
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, proto, resp.ProtoMajor)
				return resp, parse(t, string(b))
			}
			resp, ms := ask(`[{"channel":"/meta/handshake","id":"1"}]`, "")
			cookie, connect := strings.Split(resp.Header.Get("Set-Cookie"), ";")[0], `[{"channel":"/meta/connect","id":"2","clientId":"`+ms[0]["clientId"].(string)+`"}]`
			ask(connect, cookie)
			begin := time.Now()
			_, ms = ask(connect, cookie)
			assert.Equal(t, true, ms[0]["successful"])
			assert.GreaterOrEqual(t, time.Since(begin), 1900*time.Millisecond, "it was held")
		})
	}
}

// Limits.Conns holds for connections that ask nothing, and there is one left to
// be told so.
func TestConnectionsThatAskNothingAreCounted(t *testing.T) {
	for limit, l := range map[string]server.Limits{"conns": {Conns: 4}, "conns_per_addr": {ConnsPerAddr: 4}} {
		t.Run(limit, func(t *testing.T) {
			srv, err := cometd.NewServer(server.WithLimits(l))
			require.NoError(t, err)
			hs := httptest.NewUnstartedServer(srv)
			hs.Config.ConnState = srv.ConnState
			hs.Start()
			defer hs.Close()
			defer srv.Close()
			var idle []net.Conn
			for range 40 {
				c, _ := say(t, hs, "")
				defer c.Close()
				idle = append(idle, c)
			}
			require.Eventually(t, func() bool { return srv.Stats().Limited[limit] == 40-4-8 }, 10*time.Second, time.Millisecond)
			for _, c := range idle[4+8:] {
				_, err := c.Read(make([]byte, 1))
				assert.ErrorIs(t, err, io.EOF)
			}
			for _, c := range idle {
				c.Close()
			}
			require.Eventually(t, func() bool {
				resp, err := http.Post(hs.URL, "", strings.NewReader(`[{"channel":"/meta/handshake","id":"1"}]`))
				if err != nil {
					return false
				}
				resp.Body.Close()
				return resp.StatusCode == http.StatusOK
			}, 10*time.Second, 10*time.Millisecond, "and they are given back")
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

// What a transport refuses before there is a connection is counted too.
func TestLimitsOfATransportAreCounted(t *testing.T) {
	srv, err := server.New(server.WithTransports(longpoll.NewAcceptor(), longpoll.NewCallbackAcceptor()), server.WithLimits(server.Limits{MessageBytes: 1000}))
	require.NoError(t, err)
	defer srv.Close()
	ask := func(method, query, body string) int {
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, httptest.NewRequest(method, "/?"+query, strings.NewReader(body)))
		return w.Code
	}
	assert.Equal(t, 400, ask("GET", "jsonp="+strings.Repeat("a", 65)+"&message=1", ""))
	assert.Equal(t, 413, ask("GET", "jsonp=a&message="+strings.Repeat("1", 1001), ""))
	assert.Equal(t, 413, ask("POST", "", strings.Repeat("1", 1001)))
	assert.Equal(t, map[string]uint64{"callback": 1, "message_bytes": 2}, srv.Stats().Limited)
}

// The log tells of the first break of a limit and then, once a minute, of how
// many there were: with who it was, and never one line for each.
func TestBrokenLimitsAreInTheLogButDoNotFillIt(t *testing.T) {
	var log journal
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session("/a")
		for i := range 150 {
			c.ask(fmt.Sprintf(`{"channel":"/meta/subscribe","id":"x%d","clientId":"$","subscription":"/b"}`, i))
			time.Sleep(time.Second)
		}
		lines := log.lines("")
		require.Len(t, lines, 3)
		for i, times := range []string{"times=1\n", "times=60\n", "times=60\n"} {
			assert.Contains(t, lines[i], "level=WARN")
			assert.Contains(t, lines[i], "limit=subscriptions")
			assert.Contains(t, lines[i], times)
			assert.Contains(t, lines[i], "session=…"+c.id[len(c.id)-8:])
		}
		assert.EqualValues(t, 150, w.Stats().Limited["subscriptions"])
	}, server.WithLimits(server.Limits{Subscriptions: 1}), server.WithTiming(server.Timing{MaxInterval: time.Hour, Timeout: time.Hour}),
		server.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
}

// Many sessions may be closed by one limit in one moment.
func TestSessionsClosedByALimitDoNotFillTheLogEither(t *testing.T) {
	for name, limits := range map[string]server.Limits{
		"session_queue": {SessionBytes: 1000},
		"server_bytes":  {ServerBytes: 1000},
	} {
		var log journal
		synced(t, bayeux.LongPolling, func(t *testing.T, w *world) {
			for range 50 {
				c := w.session("/a")
				c.cut()
			}
			for range 20 {
				require.NoError(t, w.Publish(t.Context(), "/a", strings.Repeat("x", 100)))
				time.Sleep(time.Second)
			}
			assert.GreaterOrEqual(t, w.Stats().Limited[name], uint64(40), name)
			assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
			assert.Contains(t, log.String(), "limit="+name)
		}, server.WithLimits(limits), server.WithTiming(server.Timing{MaxInterval: time.Minute}),
			server.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	}
}

// A journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func TestWrongOptionsAreNamed(t *testing.T) {
	srv, err := server.New(nil, server.Options(nil), server.WithLogger(nil))
	require.NoError(t, err, "a nil option is none, and a nil logger silence")
	srv.Close()
	for says, o := range map[string]server.Option{
		"transport is nil":                                 server.WithTransports(nil),
		"transport given twice: long-polling":              server.WithTransports(longpoll.NewAcceptor(), longpoll.NewAcceptor()),
		"JSON codec is nil":                                server.WithJSON(nil),
		"timing of websocket: Sweep is the whole server's": server.WithTransportTiming(bayeux.WebSocket, server.Timing{Sweep: time.Minute}),
	} {
		_, err := server.New(o)
		assert.EqualError(t, err, "server: "+says)
	}
}
