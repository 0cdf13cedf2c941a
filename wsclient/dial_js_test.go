package wsclient_test

import (
	"context"
	"io"
	"net/url"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// fakeWebSocket is as strict as a browser's, and does what a test tells it.
const fakeWebSocket = `globalThis.WebSocket = class {
	constructor(url, protocols) {
		if (!url.startsWith("ws")) throw new SyntaxError("no WebSocket goes to " + url)
		this.url = url; this.protocols = protocols.join(); this.readyState = 0; this.said = []; this.ended = ""
		queueMicrotask(() => globalThis.socketMade(this)) // when its maker has told it what to do
	}
	send(text) {
		if (this.readyState === 0) throw new Error("InvalidStateError")
		if (this.readyState === 1) this.said.push(text)
	}
	close(code, reason) {
		if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) throw new Error("InvalidAccessError")
		if (this.readyState > 1) return
		this.readyState = 2; this.ended = code + " " + reason
	}
	opens() { this.readyState = 1; this.onopen({type: "open"}) }
	brings(data) { this.onmessage({type: "message", data}) }
	fails() { this.readyState = 3; this.onerror({type: "error"}); this.onclose({type: "close", code: 1006, reason: ""}) }
	closes(code, reason) { this.readyState = 3; this.onclose({type: "close", code, reason}) }
}`

// dials begins to dial, and gives the browser's end.
func dials(t *testing.T, ctx context.Context, limit int, opts ...wsclient.Option) (ws js.Value, conn func() (transport.Conn, error)) {
	made := make(chan js.Value, 1)
	js.Global().Call("eval", fakeWebSocket)
	tell := js.FuncOf(func(_ js.Value, args []js.Value) any { made <- args[0]; return nil })
	js.Global().Set("socketMade", tell)
	t.Cleanup(tell.Release)
	type dialed struct {
		c   transport.Conn
		err error
	}
	result := make(chan dialed, 1)
	go func() {
		c, err := wsclient.NewDialer(opts...).Dial(ctx, &transport.Target{URL: &url.URL{Scheme: "https", Host: "host", Path: "/cometd"}, Limit: limit})
		result <- dialed{c, err}
	}()
	return <-made, func() (transport.Conn, error) { d := <-result; return d.c, d.err }
}

// inBrowser is an open conn, and the browser's end of it.
func inBrowser(t *testing.T, limit int) (transport.Conn, js.Value) {
	ws, conn := dials(t, t.Context(), limit)
	ws.Call("opens")
	c, err := conn()
	require.NoError(t, err)
	return c, ws
}

func received(t *testing.T, c transport.Conn) string {
	t.Helper()
	r, err := c.Receive()
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

func TestInABrowserTextsGoBothWays(t *testing.T) {
	ws, conn := dials(t, t.Context(), 0, wsclient.WithSubprotocol("bayeux"))
	ws.Call("opens")
	c, err := conn()
	require.NoError(t, err)
	assert.Equal(t, "wss://host/cometd", ws.Get("url").String())
	assert.Equal(t, "bayeux", ws.Get("protocols").String())
	require.NoError(t, c.Send(&transport.Payload{Messages: [][]byte{[]byte("1"), []byte(`"é"`)}}))
	assert.Equal(t, `[1,"é"]`, ws.Get("said").Index(0).String())
	go ws.Call("brings", "[2]")
	assert.Equal(t, "[2]", received(t, c))
}

// A browser tells the end in an event that comes behind all messages.
func TestInABrowserWhatCameBeforeTheEndIsReceived(t *testing.T) {
	for range 20 {
		c, ws := inBrowser(t, 0)
		for _, text := range []string{"[1]", "[2]", "[3]"} {
			ws.Call("brings", text)
		}
		ws.Call("closes", 1001, "restart")
		for _, text := range []string{"[1]", "[2]", "[3]"} {
			assert.Equal(t, text, received(t, c))
		}
		_, err := c.Receive()
		assert.Equal(t, transport.GoingAway, transport.ReasonOf(err))
		assert.ErrorContains(t, err, "restart")
		assert.Error(t, c.Context().Err())
		_, again := c.Receive()
		assert.Equal(t, err, again)
	}
}

func TestInABrowserACloseCodeIsTheReason(t *testing.T) {
	for code, want := range map[int]transport.Reason{
		1001: transport.GoingAway, 1007: transport.BadPayload, 1009: transport.TooLarge, 1012: transport.GoingAway,
		1006: transport.Internal, 1011: transport.Internal, 1013: transport.Overflow, 4403: transport.Kicked, 4410: transport.Expired,
	} {
		c, ws := inBrowser(t, 0)
		ws.Call("closes", code, "")
		_, err := c.Receive()
		var e *transport.Error
		require.ErrorAs(t, err, &e, code)
		assert.Equal(t, want, e.Reason, code)
	}
	for _, code := range []int{1000, 1005} {
		c, ws := inBrowser(t, 0)
		ws.Call("closes", code, "")
		_, err := c.Receive()
		assert.Equal(t, io.EOF, err, code)
	}
}

func TestInABrowserASendAfterTheEndIsErrClosed(t *testing.T) {
	c, ws := inBrowser(t, 0)
	ws.Call("closes", 1000, "")
	assert.ErrorIs(t, c.Send(&transport.Payload{}), transport.ErrClosed)

	c, ws = inBrowser(t, 0)
	c.Close(transport.Kicked)
	c.Close(transport.Normal)
	assert.ErrorIs(t, c.Send(&transport.Payload{}), transport.ErrClosed)
	_, err := c.Receive()
	assert.ErrorIs(t, err, transport.ErrClosed)
	assert.Equal(t, "4403 "+transport.Kicked.Text(), ws.Get("ended").String())
	ws.Call("closes", 4403, "")
}

func TestInABrowserCloseFreesReceive(t *testing.T) {
	c, ws := inBrowser(t, 0)
	ended := make(chan error)
	go func() { _, err := c.Receive(); ended <- err }()
	c.Close(transport.GoingAway)
	assert.ErrorIs(t, <-ended, transport.ErrClosed)
	assert.Equal(t, "1000 "+transport.GoingAway.Text(), ws.Get("ended").String(), "a page may not say 1001")
}

func TestInABrowserWhatMayNotComeEndsTheSocket(t *testing.T) {
	for name, bring := range map[string]struct {
		messages []any
		want     transport.Reason
	}{
		"over the limit": {[]any{strings.Repeat("x", 101)}, transport.TooLarge},
		"binary":         {[]any{js.Global().Get("Uint8Array").New(1)}, transport.BadPayload},
	} {
		c, ws := inBrowser(t, 100)
		ws.Call("brings", strings.Repeat("x", 100))
		for _, m := range bring.messages {
			ws.Call("brings", m)
		}
		ws.Call("brings", "late")
		assert.Equal(t, "1000 "+bring.want.Text(), ws.Get("ended").String(), name)
		ws.Call("closes", 1000, "")
		assert.Len(t, received(t, c), 100, name)
		_, err := c.Receive()
		assert.Equal(t, bring.want, transport.ReasonOf(err), name)
	}
}

func TestInABrowserWhatNobodyReceivesIsBounded(t *testing.T) {
	c, ws := inBrowser(t, 0)
	mebi, n := strings.Repeat("x", 1<<20), 0
	for ; ws.Get("ended").String() == "" && n < 1000; n++ {
		ws.Call("brings", mebi)
	}
	assert.Equal(t, 64, n)
	for range n - 1 {
		assert.Len(t, received(t, c), 1<<20)
	}
	_, err := c.Receive()
	assert.Equal(t, transport.Overflow, transport.ReasonOf(err))
}

func TestInABrowserASocketThatDoesNotOpenIsLeftBehindClosed(t *testing.T) {
	ws, conn := dials(t, t.Context(), 0, wsclient.WithOpenTimeout(10*time.Millisecond))
	_, err := conn()
	assert.ErrorIs(t, err, transport.ErrUnsupported)
	assert.ErrorContains(t, err, "10ms")
	assert.Equal(t, 2, ws.Get("readyState").Int(), "CLOSING")
	ws.Call("closes", 1006, "")

	ctx, cancel := context.WithCancel(t.Context())
	ws, conn = dials(t, ctx, 0)
	cancel()
	_, err = conn()
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, transport.ErrUnsupported)
	assert.Equal(t, 2, ws.Get("readyState").Int())

	for _, ends := range []string{"closes", "fails"} {
		ws, conn = dials(t, t.Context(), 0)
		ws.Call(ends, 1006, "")
		_, err = conn()
		assert.ErrorIs(t, err, transport.ErrUnsupported)
		assert.ErrorContains(t, err, "does not say why")
	}
}

func TestInABrowserWithoutWebSocketsMeansFallBack(t *testing.T) {
	js.Global().Set("WebSocket", js.Undefined())
	_, err := wsclient.NewDialer().Dial(t.Context(), &transport.Target{URL: &url.URL{Scheme: "http", Host: "host"}})
	assert.ErrorIs(t, err, transport.ErrUnsupported)
	js.Global().Call("eval", `globalThis.WebSocket = class { constructor() { throw new Error("SecurityError") } }`)
	_, err = wsclient.NewDialer().Dial(t.Context(), &transport.Target{URL: &url.URL{Scheme: "http", Host: "host"}})
	assert.ErrorIs(t, err, transport.ErrUnsupported)
	assert.ErrorContains(t, err, "SecurityError")
}
