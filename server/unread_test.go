package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/internal/webtest"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/wsserver"
)

// inMemory serves a server on a network in memory, where a peer that does not
// read is felt at the first byte. It has a limit for writes, and the http.Server
// none.
func inMemory(t *testing.T, write time.Duration) (*server.Server, *webtest.Pipes) {
	srv, err := cometd.NewServer(
		server.WithTransports(wsserver.NewAcceptor(), longpoll.NewAcceptor(), longpoll.NewCallbackAcceptor()),
		server.WithLimits(server.Limits{Write: write, MessageBytes: 300}),
	)
	require.NoError(t, err)
	pipes, served := webtest.NewPipes(), make(chan error, 1)
	web := &http.Server{Handler: srv, Protocols: new(http.Protocols)}
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetUnencryptedHTTP2(true)
	go func() { served <- web.Serve(pipes) }()
	t.Cleanup(func() {
		srv.Close()
		web.Close()
		assert.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return srv, pipes
}

// Whatever a request is refused for, a peer that does not read the answer is
// given up in the time that a write may take.
func TestARefusalThatIsNotReadIsGivenUp(t *testing.T) {
	for name, request := range map[string]string{
		"no transport":    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"other origin":    "POST / HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.test\r\nContent-Length: 3\r\n\r\n[1]",
		"options":         "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n",
		"preflight":       "OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nAccess-Control-Request-Method: POST\r\n\r\n",
		"too large":       "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
		"empty":           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"no payload":      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
		"100":             "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
		"bad callback":    "GET /?jsonp=( HTTP/1.1\r\nHost: x\r\n\r\n",
		"bad upgrade":     "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"a good upgrade":  "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		"HTTP/1.0":        "GET / HTTP/1.0\r\n\r\n",
		"kept alive, too": "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, pipes := inMemory(t, 10*time.Second)
				peer, err := pipes.Dial()
				require.NoError(t, err)
				begin := time.Now()
				_, err = io.WriteString(peer, request)
				require.NoError(t, err)
				require.NoError(t, peer.SetWriteDeadline(time.Now().Add(time.Hour)))
				for err == nil {
					_, err = peer.Write(make([]byte, 10<<10)) // more than is read ahead, but of who is a WebSocket already
				}
				assert.ErrorIs(t, err, io.ErrClosedPipe, "it is closed")
				assert.LessOrEqual(t, time.Since(begin), 11*time.Second)
			})
		})
	}
}

// Over HTTP/2 it is the stream that is given up.
func TestARefusalThatIsNotReadIsGivenUpOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, pipes := inMemory(t, 10*time.Second)
		nc, err := pipes.Dial()
		require.NoError(t, err)
		peer, err := webtest.NewHTTP2(nc, 0)
		require.NoError(t, err)
		for _, ask := range []func() error{
			func() error { return peer.Ask("GET", "/", "") },
			func() error { return peer.Ask("POST", "/", "[1]", "origin", "https://evil.test") },
			func() error { return peer.Ask("POST", "/", "x") },
			func() error { return peer.Ask("POST", "/", "") },
			func() error { return peer.Ask("GET", "/?jsonp=(", "") },
		} {
			begin := time.Now()
			asked := make(chan error, 1)
			go func() { asked <- ask() }()
			require.NoError(t, peer.SetReadDeadline(time.Now().Add(time.Hour)))
			for f := (webtest.Frame{}); f.Type != webtest.ResetStream; {
				f, err = peer.Next()
				require.NoError(t, err)
			}
			require.NoError(t, <-asked)
			assert.Equal(t, 10*time.Second, time.Since(begin))
		}
		nc.Close()
	})
}

// The limit of one answer is not that of the next one on the same connection.
func TestALimitForARefusalDoesNotCutWhatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, pipes := inMemory(t, time.Second)
		peer, err := pipes.Dial()
		require.NoError(t, err)
		defer peer.Close()
		for range 3 {
			_, err = io.WriteString(peer, "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
			status := make([]byte, 12)
			_, err = io.ReadFull(peer, status)
			require.NoError(t, err)
			assert.Equal(t, "HTTP/1.1 200", string(status))
			drained := make([]byte, 4<<10)
			_, err = peer.Read(drained)
			require.NoError(t, err)
			time.Sleep(time.Minute)
		}
	})
}

// polling makes a session over HTTP/1, and gives a peer that polls for it over
// HTTP/2 and reads nothing: its connect is held.
func polling(t *testing.T, pipes *webtest.Pipes, srv *server.Server) (id string, peer *webtest.HTTP2) {
	web := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return pipes.Dial() }}}
	defer web.CloseIdleConnections()
	ask := func(cookie, text string) (*http.Response, []message) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/", strings.NewReader(text))
		require.NoError(t, err)
		req.Header.Set("Cookie", cookie)
		resp, err := web.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp, parse(t, string(b))
	}
	resp, ms := ask("", `[{"channel":"/meta/handshake","id":"1"}]`)
	cookie := strings.Split(resp.Header.Get("Set-Cookie"), ";")[0]
	id = ms[0]["clientId"].(string)
	ask(cookie, `[{"channel":"/meta/connect","id":"2","clientId":"`+id+`"}]`)
	nc, err := pipes.Dial()
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	peer, err = webtest.NewHTTP2(nc, 1<<20)
	require.NoError(t, err)
	require.NoError(t, peer.Ask("POST", "/", `[{"channel":"/meta/connect","id":"3","clientId":"`+id+`"}]`, "cookie", cookie))
	synctest.Wait()
	require.Equal(t, 1, srv.Stats().Held)
	return id, peer
}

// A poll that nobody reads ends, is counted, and its session expires, also on
// HTTP/2, where no deadline frees who writes to a connection that takes nothing.
func TestAPollOverHTTP2ThatIsNeverReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, pipes := inMemory(t, 10*time.Second)
		id, _ := polling(t, pipes, srv)
		begin := time.Now()
		require.NoError(t, srv.Session(id).Send("/a", 1))
		require.Eventually(t, func() bool { return srv.Stats().Limited["write"] == 1 }, time.Minute, time.Millisecond)
		assert.GreaterOrEqual(t, time.Since(begin), 10*time.Second)
		require.NotNil(t, srv.Session(id), "its client may come back")
		require.Eventually(t, func() bool { return srv.Session(id) == nil }, 20*time.Second, time.Millisecond)
	})
}

// Neither end of a server waits for it.
func TestAPollOverHTTP2ThatIsNeverReadHoldsUpNoEnd(t *testing.T) {
	for name, end := range map[string]func(*server.Server) error{
		"Close": (*server.Server).Close,
		"Shutdown": func(srv *server.Server) error {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, pipes := inMemory(t, time.Hour)
				id, _ := polling(t, pipes, srv)
				require.NoError(t, srv.Session(id).Send("/a", 1))
				synctest.Wait()
				require.Zero(t, srv.Stats().Held, "it is being answered")
				begin := time.Now()
				require.NoError(t, end(srv))
				assert.LessOrEqual(t, time.Since(begin), 5*time.Second)
			})
		})
	}
}
