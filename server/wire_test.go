package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

// everywhere runs a test over both transports, in memory with fake time and
// over real sockets.
func everywhere(t *testing.T, f func(t *testing.T, w *world), opts ...server.Option) {
	onBoth(t, f, opts...)
	onSockets(t, f, opts...)
}

// onBoth runs a test in fake time, once with clients on a stream and once with
// clients on polling.
func onBoth(t *testing.T, f func(t *testing.T, w *world), opts ...server.Option) {
	for _, typ := range []string{bayeux.WebSocket, bayeux.LongPolling} {
		t.Run(typ, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, typ, opts...)
				defer w.end()
				f(t, w)
			})
		})
	}
}

// synced runs a test in fake time over one transport.
func synced(t *testing.T, typ string, f func(t *testing.T, w *world), opts ...server.Option) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		opts = append([]server.Option{server.WithHooks(server.Hooks{FrameOut: func(string, int, int) {
			if w.count != nil {
				w.count()
			}
		}})}, opts...)
		w = newWorld(t, typ, opts...)
		defer w.end()
		f(t, w)
	})
}

// onSockets runs a test over HTTP and over WebSocket.
func onSockets(t *testing.T, f func(t *testing.T, w *world), opts ...server.Option) {
	for _, typ := range []string{bayeux.WebSocket, bayeux.LongPolling} {
		t.Run("real "+typ, func(t *testing.T) {
			w := newRealWorld(t, typ, opts...)
			defer w.end()
			f(t, w)
		})
	}
}

// onCallback runs a test over callback-polling, which only HTTP has.
func onCallback(t *testing.T, f func(t *testing.T, w *world), opts ...server.Option) {
	w := newRealWorld(t, bayeux.CallbackPolling, append([]server.Option{
		server.WithTransports(wsserver.NewAcceptor(), longpoll.NewAcceptor(), longpoll.NewCallbackAcceptor()),
	}, opts...)...)
	defer w.end()
	f(t, w)
}

// A world is a server and the clients on it, which speak raw messages.
type world struct {
	*server.Server
	t    *testing.T
	typ  string
	http *httptest.Server // nil: all is in memory, and time is fake
	wire []*wire

	count func() // told of each frame out
}

func newWorld(t *testing.T, typ string, opts ...server.Option) *world {
	srv, err := server.New(opts...)
	require.NoError(t, err)
	return &world{Server: srv, t: t, typ: typ}
}

func newRealWorld(t *testing.T, typ string, opts ...server.Option) *world {
	srv, err := cometd.NewServer(opts...)
	require.NoError(t, err)
	return &world{Server: srv, t: t, typ: typ, http: httptest.NewServer(srv)}
}

func (w *world) end() {
	for _, c := range w.wire {
		c.cut()
	}
	if w.http == nil {
		synctest.Wait()
	}
	w.Close()
	if w.http != nil {
		w.http.Close()
	}
}

// fake reports whether time is.
func (w *world) fake() bool { return w.http == nil }

// polling reports whether clients poll.
func (w *world) polling() bool { return w.typ != bayeux.WebSocket }

// client makes a client that has not said anything yet.
func (w *world) client() *wire { return w.clientOn(w.typ) }

func (w *world) clientOn(typ string) *wire {
	c := newWire(w, typ)
	w.wire = append(w.wire, c)
	return c
}

// session makes a client with a session, subscribed to channels, whose connect
// is held.
func (w *world) session(channels ...string) *wire {
	w.t.Helper()
	c := w.client()
	c.handshake()
	c.begin(channels...)
	return c
}

// begin connects, subscribes, and connects again, to be held.
func (c *wire) begin(channels ...string) {
	c.t.Helper()
	c.connect("c1")
	c.expect("/meta/connect", "c1")
	for i, ch := range channels {
		id := fmt.Sprint("s", i)
		c.send(fmt.Sprintf(`{"channel":"/meta/subscribe","id":%q,"clientId":"$","subscription":%q}`, id, ch))
		require.Equal(c.t, bayeux.Succeeded, c.expect("/meta/subscribe", id).Outcome)
	}
	c.hold("c2")
}

// hold sends a connect and waits until the server holds it.
func (c *wire) hold(id string) {
	c.connect(id)
	c.eventually(func() bool { return c.w.Session(c.id).Holds(id) })
}

func (c *wire) eventually(f func() bool) {
	c.t.Helper()
	c.w.settle()
	require.Eventually(c.t, f, 10*time.Second, time.Millisecond)
}

func (w *world) settle() {
	if w.fake() {
		synctest.Wait()
	}
}

// A wire is one client of the raw protocol: it sends what it is told and
// collects what comes, in order.
type wire struct {
	w      *world
	t      *testing.T
	dialer transport.Dialer
	target *transport.Target
	stream transport.Conn
	polls  []transport.Conn
	id     string
	in     chan *bayeux.Message
	errs   chan error
	passed []*bayeux.Message // came while something else was expected
}

func newWire(w *world, typ string) *wire {
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	c := &wire{w: w, t: w.t, in: make(chan *bayeux.Message, 100_000), errs: make(chan error, 10_000)}
	c.target = &transport.Target{URL: &url.URL{Scheme: "http", Host: "test", Path: "/cometd"}, HTTP: &http.Client{Jar: jar}, Limit: 1 << 20}
	poll := typ == bayeux.LongPolling
	switch {
	case w.fake() && poll:
		c.dialer = memory.NewPollDialer(w.ServeConn)
	case w.fake():
		c.dialer = memory.NewDialer(w.ServeConn)
	case poll:
		c.dialer = longpoll.NewDialer()
	case typ == bayeux.CallbackPolling:
		c.dialer = callbackDialer{}
	default:
		c.dialer = wsclient.NewDialer()
	}
	if !w.fake() {
		c.target.URL, err = url.Parse(w.http.URL)
		require.NoError(w.t, err)
		c.target.HTTP.Transport = &http.Transport{}
	}
	return c
}

// send sends messages as one payload; $ in them is the client's id. It is put
// into an array.
func (c *wire) send(messages ...string) { c.raw("[" + strings.Join(messages, ",") + "]") }

func (c *wire) raw(payload string) {
	payload = strings.ReplaceAll(payload, `"$"`, `"`+c.id+`"`)
	conn := c.conn()
	if conn.Peer().Once {
		go func() {
			conn.Send(rawPayload(payload))
			c.receive(conn)
		}()
	} else if err := conn.Send(rawPayload(payload)); err != nil {
		c.errs <- err
	}
	c.w.settle()
}

// rawPayload makes AppendTo write exactly text.
func rawPayload(text string) *transport.Payload {
	inner := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if inner == "" {
		return &transport.Payload{}
	}
	return &transport.Payload{Messages: [][]byte{[]byte(inner)}}
}

func (c *wire) conn() transport.Conn {
	if c.stream != nil {
		return c.stream
	}
	conn, err := c.dialer.Dial(context.Background(), c.target)
	require.NoError(c.t, err)
	if conn.Peer().Once {
		c.polls = append(c.polls, conn)
		return conn
	}
	c.stream = conn
	go func() {
		for c.receive(conn) {
		}
	}()
	return conn
}

func (c *wire) receive(conn transport.Conn) bool {
	r, err := conn.Receive()
	if err == nil {
		var ms []*bayeux.Message
		if err = json.NewDecoder(r).Decode(&ms); err == nil {
			for _, m := range ms {
				c.in <- m
			}
			return true
		}
	}
	c.errs <- err
	return false
}

// cut breaks all connections, as a network does.
func (c *wire) cut() {
	conns := c.polls
	if c.stream != nil {
		conns = append(conns, c.stream)
	}
	for _, p := range conns {
		p.Close(transport.GoingAway)
	}
	c.stream, c.polls = nil, nil
	if !c.w.fake() {
		c.target.HTTP.CloseIdleConnections()
	}
	c.w.settle()
}

func (c *wire) handshake() *bayeux.Message {
	c.t.Helper()
	c.send(`{"channel":"/meta/handshake","id":"h1","version":"1.0","supportedConnectionTypes":["websocket","long-polling"]}`)
	m := c.expect("/meta/handshake", "h1")
	require.Equal(c.t, bayeux.Succeeded, m.Outcome, m.Error)
	c.id = m.ClientID
	return m
}

// connect sends a connect, which the server holds unless something waits.
func (c *wire) connect(id string) {
	c.send(fmt.Sprintf(`{"channel":"/meta/connect","id":%q,"clientId":"$","connectionType":"x"}`, id))
}

// next returns the next message that has come, nil if there is none. Time must
// be fake.
func (c *wire) next() *bayeux.Message {
	synctest.Wait()
	select {
	case m := <-c.in:
		return m
	default:
		return nil
	}
}

// all returns everything that has come. Time must be fake.
func (c *wire) all() (ms []*bayeux.Message) {
	ms, c.passed = c.passed, nil
	for m := c.next(); m != nil; m = c.next() {
		ms = append(ms, m)
	}
	return ms
}

// wait returns the next message, which must come in a minute.
func (c *wire) wait() *bayeux.Message {
	c.t.Helper()
	if len(c.passed) > 0 {
		m := c.passed[0]
		c.passed = c.passed[1:]
		return m
	}
	select {
	case m := <-c.in:
		return m
	case <-time.After(c.patience()):
		require.FailNow(c.t, "no message came")
		return nil
	}
}

func (c *wire) patience() time.Duration {
	if c.w.fake() {
		return time.Minute
	}
	return 10 * time.Second
}

// expect takes the message on ch with that id, and leaves others for later.
func (c *wire) expect(ch, id string) *bayeux.Message {
	c.t.Helper()
	for i, m := range c.passed {
		if m.Channel == ch && m.ID == id {
			c.passed = append(c.passed[:i:i], c.passed[i+1:]...)
			return m
		}
	}
	late := time.After(c.patience())
	for {
		select {
		case m := <-c.in:
			if m.Channel == ch && m.ID == id {
				return m
			}
			c.passed = append(c.passed, m)
		case <-late:
			require.FailNow(c.t, "no message", "%s %s", ch, id)
		}
	}
}

// events takes n events, and connects again for each answered connect; other
// replies are dropped.
func (c *wire) events(n int) (got []*bayeux.Message) {
	c.t.Helper()
	for i := 0; len(got) < n; i++ {
		switch m := c.wait(); {
		case m.Data != nil:
			got = append(got, m)
		case m.Channel == bayeux.MetaConnect && m.Outcome == bayeux.Succeeded:
			c.connect(fmt.Sprintf("e%dx%d", i, len(got)))
		}
	}
	return got
}

// data is the data of n events.
func (c *wire) data(n int) (got []string) {
	c.t.Helper()
	for _, m := range c.events(n) {
		got = append(got, string(m.Data))
	}
	return got
}

// ask sends one message and returns its reply.
func (c *wire) ask(message string) *bayeux.Message {
	c.t.Helper()
	var m bayeux.Message
	require.NoError(c.t, json.Unmarshal([]byte(message), &m))
	c.send(message)
	return c.expect(m.Channel, m.ID)
}

// quiet reports that no event comes before a later one, which it sends.
func (c *wire) quiet() {
	c.t.Helper()
	require.NoError(c.t, c.w.Session(c.id).Send("/service/marker", "end"))
	require.Equal(c.t, "/service/marker", c.events(1)[0].Channel)
}

// broken waits for the error that ends a connection or an exchange.
func (c *wire) broken() error {
	c.t.Helper()
	select {
	case err := <-c.errs:
		return err
	case <-time.After(c.patience()):
		require.FailNow(c.t, "the connection still stands")
		return nil
	}
}
