package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/client"
)

// The echo service answers a caller with the caller's own data, whatever it is.
func TestServeEchoes(t *testing.T) {
	address, _ := serving(t, "127.0.0.1:0")
	c, err := cometd.Dial(t.Context(), "http://"+address+"/cometd")
	require.NoError(t, err)
	defer c.Close()
	for _, data := range []string{`{"a":[1,"<é>",null]}`, `"text"`, `12345678901234567890`, `false`, `null`} {
		got, err := client.Call[json.RawMessage](t.Context(), c, "/service/echo", json.RawMessage(data))
		require.NoError(t, err, data)
		assert.Equal(t, data, string(got))
	}
}

// A client that nobody configured is offered WebSocket and long-polling, and
// no JSONP: that only when it is named.
func TestServeOffersCallbackPollingOnlyWhenNamed(t *testing.T) {
	handshake := url.QueryEscape(`[{"id":"1","channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["callback-polling"]}]`)

	address, _ := serving(t, "127.0.0.1:0")
	status, body := fetch(t, "http://"+address+"/cometd?jsonp=cb&message="+handshake)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.NotContains(t, body, "clientId")

	address, _ = serving(t, "127.0.0.1:0", "--transports", "long-polling,callback-polling")
	status, body = fetch(t, "http://"+address+"/cometd?jsonp=cb&message="+handshake)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `cb([`)
	assert.Contains(t, body, `"supportedConnectionTypes":["long-polling","callback-polling"]`)
}

// The chat page is at /, wherever Bayeux is, and nothing else is anywhere.
func TestServeHasTheChatPageAtTheRoot(t *testing.T) {
	address, _ := serving(t, "127.0.0.1:0", "--path", "/a/b/")
	status, body := fetch(t, "http://"+address+"/")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `data-bayeux="/a/b"`)
	status, _ = fetch(t, "http://"+address+"/elsewhere")
	assert.Equal(t, http.StatusNotFound, status)

	address, _ = serving(t, "127.0.0.1:0", "--no-chat")
	status, _ = fetch(t, "http://"+address+"/")
	assert.Equal(t, http.StatusNotFound, status)
}

// Without the page Bayeux may be at the root itself.
func TestServeAtTheRoot(t *testing.T) {
	address, _ := serving(t, "127.0.0.1:0", "--no-chat", "--path", "/")
	c, err := cometd.Dial(t.Context(), "http://"+address+"/")
	require.NoError(t, err)
	defer c.Close()
	assert.NoError(t, c.Publish(t.Context(), "/a", 1))
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// serving runs the program itself, as cometd serve, until stop or the test's end.
func serving(t *testing.T, listen string, flags ...string) (address string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"serve", "--listen", listen}, flags...), console{nil, in, t.Output()})
		in.Close()
	}()
	stop = func() {
		cancel()
		if code, more := <-ended; more {
			assert.Equal(t, exitOK, code)
			close(ended)
		}
	}
	t.Cleanup(stop)
	var url string
	_, err := fmt.Fscanf(out, "listening on %s\n", &url)
	require.NoError(t, err)
	go io.Copy(io.Discard, out)
	_, address, _ = strings.Cut(url, "://")
	_, _, err = net.SplitHostPort(address)
	require.NoError(t, err)
	return address, stop
}
