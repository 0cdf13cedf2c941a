package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

// illegal are payloads that get no Bayeux reply, and what the peer is told.
var illegal = []struct {
	name, payload string
	status, code  int
	says          string
	limit         string
}{
	{"bad JSON", `{bad`, 400, 1007, "unexpected", ""},
	{"not an object", `[1]`, 400, 1007, "objects", ""},
	{"a number", `7`, 400, 1007, "neither an array nor an object", ""},
	{"truncated", `[{"channel":"/meta/handshake"`, 400, 1007, "end of JSON", ""},
	{"two arrays", `[][]`, 400, 1007, "", ""},
	{"invalid UTF-8", "[{\"channel\":\"\xff\"}]", 400, 1007, "", ""},
	{"a field twice", `[{"channel":"/a","channel":"/b"}]`, 400, 1007, "twice", ""},
	{"ext of the wrong type", `[{"channel":"/a","ext":5}]`, 400, 1007, "ext", ""},
	{"version of the wrong type", `[{"channel":"/meta/handshake","version":1}]`, 400, 1007, "version", ""},
	{"too many messages", "[" + strings.Repeat(`{"channel":"/a"},`, 8) + `{"channel":"/a"}]`, 413, 1009, "limit of 8 messages", "batch_messages"},
	{"too deep", `[{"channel":"/a","ext":{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}]`, 413, 1009, "limit of 64", "depth"},
	{"too deep in data", `[{"channel":"/a","data":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}]`, 413, 1009, "limit of 512", "data_depth"},
	{"too large", `[{"channel":"/a","data":"` + strings.Repeat("x", 5000) + `"}]`, 413, 1009, "4096", "message_bytes"},
}

func TestIllegalPayloadsAreRefusedInWordsAndNeverWithA500(t *testing.T) {
	srv, err := cometd.NewServer(server.WithLimits(server.Limits{MessageBytes: 4096, BatchMessages: 8}))
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer srv.Close()
	for _, x := range illegal {
		t.Run(x.name, func(t *testing.T) {
			before := srv.Stats().Limited[x.limit]
			status, text := post(t, hs.URL, x.payload)
			assert.Equal(t, x.status, status, text)
			assert.Contains(t, text, x.says)

			ws, _, err := websocket.Dial(t.Context(), hs.URL, nil)
			require.NoError(t, err)
			defer ws.CloseNow()
			require.NoError(t, ws.Write(t.Context(), websocket.MessageText, []byte(x.payload)))
			_, _, err = ws.Read(t.Context())
			var ce websocket.CloseError
			require.ErrorAs(t, err, &ce)
			assert.EqualValues(t, x.code, ce.Code)
			assert.NotEmpty(t, ce.Reason)
			if x.limit != "" {
				require.Eventually(t, func() bool { return srv.Stats().Limited[x.limit]-before >= 2 }, 5*time.Second, time.Millisecond, "counted for each")
			}
		})
	}
	t.Run("binary", func(t *testing.T) {
		ws, _, err := websocket.Dial(t.Context(), hs.URL, nil)
		require.NoError(t, err)
		defer ws.CloseNow()
		require.NoError(t, ws.Write(t.Context(), websocket.MessageBinary, []byte("[]")))
		_, _, err = ws.Read(t.Context())
		assert.Contains(t, []websocket.StatusCode{1003, 1007}, websocket.CloseStatus(err))
	})
	assert.Zero(t, srv.Stats().Sessions)
}

func post(t *testing.T, url, payload string) (status int, text string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(payload))
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestRequestsThatNoTransportTakesAreAnswered(t *testing.T) {
	srv, err := server.New(server.WithTransports(wsserver.NewAcceptor(), longpoll.NewAcceptor(), longpoll.NewCallbackAcceptor()), server.WithOrigins("https://*.example.com", "http://plain.test"))
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer srv.Close()
	do := func(method, path, body string, header ...string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, hs.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp, string(b)
	}
	status := func(method, path string, header ...string) int {
		resp, _ := do(method, path, "", header...)
		return resp.StatusCode
	}
	assert.Equal(t, 400, status("GET", "/"))
	assert.Equal(t, 400, status("PUT", "/"))
	assert.Equal(t, 200, status("OPTIONS", "/"))
	assert.Equal(t, 400, status("GET", "/?jsonp=alert(1)&message=[]"))

	const hsMessage = `[{"channel":"/meta/handshake","id":"1","version":"1.0"}]`
	resp, text := do("GET", "/?jsonp=cb.x&message="+strings.NewReplacer(`"`, "%22", "[", "%5B", "{", "%7B", "}", "%7D", "]", "%5D").Replace(hsMessage), "")
	assert.Equal(t, 200, resp.StatusCode)
	assert.True(t, strings.HasPrefix(text, `cb.x([{"channel":"/meta/handshake","id":"1"`) && strings.HasSuffix(text, "}])"), text)
	assert.Equal(t, "text/javascript;charset=UTF-8", resp.Header.Get("Content-Type"))

	for origin, want := range map[string]int{
		"":                         200,
		hs.URL:                     200,
		"https://a.example.com":    200,
		"https://a.b.example.com":  200,
		"http://plain.test":        200,
		"https://example.com":      403,
		"https://evilexample.com":  403,
		"http://a.example.com":     403,
		"https://plain.test":       403,
		"null":                     403,
		"https://a.example.com.cx": 403,
		strings.Replace(hs.URL, "://", "://user@", 1): 403,
	} {
		header := []string{"Content-Type", "application/json"}
		if origin != "" {
			header = append(header, "Origin", origin)
		}
		resp, text := do("POST", "/", hsMessage, header...)
		assert.Equal(t, want, resp.StatusCode, "%s: %s", origin, text)
		if want == 200 && origin != "" {
			assert.Equal(t, origin, resp.Header.Get("Access-Control-Allow-Origin"))
			assert.Equal(t, "true", resp.Header.Get("Access-Control-Allow-Credentials"))
		}
		_, r, err := websocket.Dial(t.Context(), hs.URL, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		if want == 403 {
			require.Error(t, err, origin)
			assert.Equal(t, 403, r.StatusCode)
		}
	}
	resp, _ = do("OPTIONS", "/", "", "Origin", "https://a.example.com", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,x-token")
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "https://a.example.com", resp.Header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, strings.ToLower(resp.Header.Get("Access-Control-Allow-Headers")), "x-token")
}

func TestTheServerIsReachedAtAnyPathBelowItsMounts(t *testing.T) {
	srv, err := cometd.NewServer(server.WithSessionIDs(server.TimeID))
	require.NoError(t, err)
	mux := http.NewServeMux()
	srv.Mount(mux, "/node/0")
	srv.Mount(mux, "/node/1")
	hs := httptest.NewServer(mux)
	defer hs.Close()
	defer srv.Close()
	for _, path := range []string{"/node/0", "/node/0/", "/node/0/handshake", "/node/1/connect/x.y"} {
		status, text := post(t, hs.URL+path, `{"channel":"/meta/handshake","id":1}`)
		assert.Equal(t, 200, status)
		m := parse(t, text)[0]
		assert.Equal(t, "1", m["id"])
		assert.Regexp(t, `^0000000[0-9a-f]{33}$`, m["clientId"])
	}
}

func TestCloseEndsEverythingAlsoWhileClientsCome(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.HandleService("/service/wait", func(ctx context.Context, _ *server.Session, _ *bayeux.Message) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		for range 5 {
			c := w.session("/a")
			c.send(`{"channel":"/service/wait","id":"w","clientId":"$"}`)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			c := w.client()
			wg.Go(func() {
				conn, err := c.dialer.Dial(context.Background(), c.target)
				if err != nil {
					return
				}
				conn.Send(&transport.Payload{Messages: [][]byte{fmt.Appendf(nil, `{"channel":"/meta/handshake","id":"%d"}`, i)}})
				conn.Receive()
				conn.Close(transport.Normal)
			})
		}
		require.NoError(t, w.Close())
		wg.Wait()
		assert.Zero(t, w.Stats().Sessions)
		assert.ErrorIs(t, w.Publish(t.Context(), "/a", 1), server.ErrClosed)
		assert.ErrorIs(t, w.Close(), server.ErrClosed)
		for range w.Events(t.Context()) {
			assert.Fail(t, "an event after Close")
		}
	})
}

func TestShutdownSendsWhatIsQueuedAndSpreadsTheReturn(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a", "/lazy")
		stop := make(chan struct{})
		var publisher sync.WaitGroup
		if !w.fake() { // also under load that never ends
			publisher.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						w.Publish(context.Background(), "/busy", 1)
					}
				}
			})
		}
		require.NoError(t, w.Publish(t.Context(), "/lazy", 1))
		require.NoError(t, w.Shutdown(t.Context()))
		close(stop)
		publisher.Wait()
		reply := c.expect(bayeux.MetaConnect, "c2")
		require.Len(t, c.passed, 1, "what is lazy leaves too")
		assert.Equal(t, "/lazy", c.passed[0].Channel)
		assert.LessOrEqual(t, reply.Advice.Interval.Or(time.Hour), time.Minute)
		assert.Zero(t, w.Stats().Sessions)
	}, server.WithShutdownSpread(time.Minute), server.WithChannel("/lazy", server.ChannelOptions{Lazy: time.Hour}))
}
