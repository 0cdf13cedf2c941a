package cometd_test

// The programs that the API was worked out from, first of all its tests: they
// must go on reading as simply as this. They are compiled; example_test.go and
// the packages' own examples run.

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/cometdtest"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

var (
	ctx = context.Background()
	url = "https://host/cometd"
)

type (
	Quote struct {
		Symbol string
		Price  float64
	}
	Pair      struct{ A, B int }
	Claims    struct{ Expires time.Time }
	Tenant    string
	tenantKey struct{}
	Order     struct {
		Payload struct{ Amount float64 } `json:"payload"`
	}
)

func (Claims) MayRead(ch string) bool                                { return true }
func verify(ctx context.Context, token string) (c Claims, err error) { return }
func refresh(ctx context.Context) (s string, err error)              { return }
func withTenant(next http.Handler) http.Handler { // ordinary middleware carries the application's data
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, Tenant("Skalica"))))
	})
}

func traceID(ctx context.Context) string          { return "" }
func feed() (q []Quote)                           { return }
func book(ctx context.Context, o Order) error     { return nil }
func watch(ctx context.Context, c *client.Client) {}

// 1. A server in the mux you have, as in the README.
func serve(quotes <-chan Quote) {
	srv, err := cometd.NewServer()
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	srv.Mount(mux, "/cometd") // "/cometd" and below, WebSocket and long-polling
	srv.HandleService("/service/add", server.Typed(func(ctx context.Context, s *server.Session, p Pair) (int, error) {
		return p.A + p.B, nil
	}))
	go func() {
		for q := range quotes { // encoded once, queued for all, waits for nobody
			if err := srv.Publish(ctx, "/quotes/"+q.Symbol, q); err != nil {
				log.Print(err) // q has no JSON, or the server is closed
			}
		}
	}()
	hs := &http.Server{
		Addr: ":8080", Handler: mux, ConnState: srv.ConnState, // net/http bounds little by itself: docs/operating.md
		MaxHeaderBytes: 32 << 10, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second, // these cut neither sockets nor held connects
	}
	log.Fatal(hs.ListenAndServe())
}

// 2. A client.
func subscribeAndPublish() {
	c, err := cometd.Dial(ctx, "http://localhost:8080/cometd") // WebSocket, else long-polling
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	sub, err := c.Subscribe(ctx, "/chat/*")
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Publish(ctx, "/chat/room", "hello"); err != nil {
		log.Print(err) // bayeux: /chat/room: 403 publish_denied
	}
	for m := range sub.Messages(ctx) {
		fmt.Printf("%s %s\n", m.Channel, m.Data)
	}
}

// 3. A typed subscription, as iterator or callback.
func quotes(ctx context.Context, c *client.Client) error {
	sub, err := c.Subscribe(ctx, "/quotes/*", client.WithQueue(1000, client.KeepLatest))
	if err != nil {
		return err
	}
	defer sub.Unsubscribe(ctx)
	for q, err := range client.Values[Quote](ctx, sub) { // the last pair says why it ended, if it failed
		if err != nil {
			return err
		}
		fmt.Println(q.Symbol, q.Price)
	}
	return nil
}

func quotesByCallback(ctx context.Context, c *client.Client) error {
	_, err := c.SubscribeFunc(ctx, "/quotes/*", client.Typed(func(ctx context.Context, q Quote) error {
		fmt.Println(q.Symbol, q.Price)
		return nil // an error ends the subscription and is its Err
	}))
	return err
}

// 4. Prices with a latest-value channel.
func prices() error {
	srv, err := cometd.NewServer(server.WithChannel("/prices/*", server.ChannelOptions{
		Overflow: server.KeepLatest, // a slow reader gets the newest price, not all of them
		SendLast: true,              // a new subscriber gets the current one at once
	}))
	if err != nil {
		return err
	}
	for _, q := range feed() {
		if err := srv.Publish(ctx, "/prices/"+q.Symbol, q); err != nil { // encoded once; never waits for a reader
			return err
		}
	}
	return nil
}

// 5. A service (RPC), both ends.
type Add struct{ A, B int }

func serveAdd(srv *server.Server) {
	srv.HandleService("/service/add", server.Typed(func(ctx context.Context, s *server.Session, r Add) (int, error) {
		if r.B < 0 {
			return 0, bayeux.Errorf(400, "b_negative") // any other error: 500 to the caller, its text to the log
		}
		return r.A + r.B, nil
	}))
}

func callAdd(ctx context.Context, c *client.Client) {
	sum, err := client.Call[int](ctx, c, "/service/add", Add{1, 2})
	if e, ok := errors.AsType[*bayeux.Error](err); ok {
		fmt.Println(sum, e.Code, e.Message)
	}
}

// 6. Authentication, both ends.
var claims = server.NewAttr[Claims]("claims")

var policy = server.Policy{
	Handshake: func(ctx context.Context, s *server.Session, m *bayeux.Message) error {
		var token string // JWT in ext.token; a header: server.PeerOf(ctx).Header
		if ok, err := m.Ext.Decode("token", &token); !ok || err != nil {
			return bayeux.Errorf(401, "token_missing")
		}
		c, err := verify(ctx, token)
		if err != nil {
			return server.Deny("token_invalid")
		}
		claims.Set(s, c)
		s.Expire(c.Expires, time.Minute) // warns a minute before; a new handshake or call renews
		return nil
	},
	Subscribe: func(ctx context.Context, s *server.Session, ch string, m *bayeux.Message) error {
		if c, _ := claims.Get(s); !c.MayRead(ch) {
			return server.Deny("not_yours")
		}
		return nil
	},
}

type OAuth string // any type that says its header value; client.Bearer, client.Basic and client.Authorization exist

func (t OAuth) Authorization() string { return "OAuth " + string(t) }
func (OAuth) String() string          { return "OAuth ***" }
func (OAuth) GoString() string        { return "OAuth ***" }
func (OAuth) LogValue() slog.Value    { return slog.StringValue("OAuth ***") }

func dialWithToken(ctx context.Context) (*client.Client, error) {
	return cometd.Dial(ctx, url, client.WithTokenExt("token"), // in ext.token as well as in the header
		client.WithTokenSource(func(ctx context.Context) (client.AccessToken, error) { // per handshake, and after a 401
			t, err := refresh(ctx)
			return OAuth(t), err
		}))
}

// 7. Salesforce with a replay store.
func salesforce(ctx context.Context, token func(context.Context) (client.AccessToken, error)) error {
	store, err := replay.File("positions.json") // an id per channel, saved after the handler returned nil
	if err != nil {
		return err
	}
	c, err := client.New("https://acme.my.salesforce.com/cometd/62.0",
		client.WithTransports(longpoll.NewDialer()), client.WithTokenSource(token),
		replay.Salesforce(store)) // preset: replay, re-handshake on "none", 10 MiB bodies
	if err != nil {
		return err
	}
	defer c.Close()
	sub, err := c.SubscribeFunc(ctx, "/event/Order__e", client.Typed(book))
	if err != nil {
		return err
	}
	<-sub.Done()
	return sub.Err()
}

// 8. Session events with the application's own data.
func listen(ctx context.Context, srv *server.Server) {
	srv.Mount(http.DefaultServeMux, "/cometd") // behind ordinary middleware that put the tenant into r.Context()
	srv.Emit("CUSTOM_DATA")                    // from any goroutine, into the same loop as the server's own events
	for ev := range srv.Events(ctx) {
		switch ev := ev.(type) {
		case server.SessionAdded:
			fmt.Println(ev.Session.ID(), server.PeerOf(ev.Context).Header, ev.Context.Value(tenantKey{}))
		case server.Subscribed:
			fmt.Println(ev.Session.ID(), ev.Channels, ev.Context.Value(tenantKey{}))
		case server.SessionRemoved:
			fmt.Println(ev.Session.ID(), ev.Reason)
		case server.CustomData:
			fmt.Println(ev.Value)
		}
	}
}

// 9. Endpoints on base paths, both ends.
func basePaths(mux *http.ServeMux, srv *server.Server) (*client.Client, error) {
	srv.Mount(mux, "/node/0") // a server gives no meaning to a path: mount it wherever requests come
	srv.Mount(mux, "/node/1") // POST /node/0/handshake, then POST /node/1/connect: one session
	return client.New("http://[::1]:1025/notifications/", client.WithTransports(
		longpoll.NewDialer(longpoll.WithPaths(longpoll.Paths{Handshake: "/node/0/", Connect: "/node/1/"}))))
}

// 10. Swap the transport; write one's own.
type lines struct { // JSON lines over any net.Conn, both ends
	net.Conn
	in *bufio.Scanner
}

func newLines(c net.Conn) *lines { return &lines{c, bufio.NewScanner(c)} }
func (l *lines) Receive() (io.Reader, error) {
	if !l.in.Scan() {
		return nil, cmp.Or(l.in.Err(), io.EOF)
	}
	return bytes.NewReader(l.in.Bytes()), nil
}
func (l *lines) Send(p *transport.Payload) error {
	_, err := l.Write(append(p.AppendTo(nil), '\n'))
	return err
}
func (l *lines) Close(transport.Reason) error { return l.Conn.Close() }
func (l *lines) Peer() *transport.Peer {
	return &transport.Peer{Type: "lines", Addr: l.RemoteAddr().String()}
}
func (l *lines) Context() context.Context { return context.Background() }

type lineDialer struct{ addr string }

func (lineDialer) Type() string { return "lines" }
func (d lineDialer) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	return newLines(c), nil
}

func useLines(srv *server.Server, ln net.Listener) (*client.Client, error) {
	go func() {
		for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
			go srv.ServeConn(newLines(c))
		}
	}()
	return client.New(url, client.WithTransports(lineDialer{":7000"}, longpoll.NewDialer())) // in order of preference
}

// 11. Extensions, both ends.
var traceClient = client.Extension{Name: "trace",
	Outgoing: func(ctx context.Context, m *bayeux.Message) error {
		return m.Ext.Set("trace", traceID(ctx)) // ctx is the one given to Publish
	}}

var traceServer = server.Extension{Name: "trace", Channels: []string{"/service/**"}, // other channels pay nothing
	Incoming: func(ctx context.Context, s *server.Session, m *bayeux.Message) error {
		var id string
		if _, err := m.Ext.Decode("trace", &id); err != nil {
			return bayeux.Errorf(400, "trace_invalid") // refuses this one message
		}
		slog.InfoContext(ctx, "call", "session", s, "trace", id)
		return nil
	}}

func withExtensions(ctx context.Context) {
	cometd.NewServer(server.WithExtension(traceServer, ackserver.New()))
	cometd.Dial(ctx, url, client.WithExtension(traceClient, ack.Client()))
}

// 12. Step by step.
func byHand(ctx context.Context) error {
	m, err := client.NewManual(url, client.WithTransports(longpoll.NewDialer()))
	if err != nil {
		return err
	}
	defer m.Close()
	if _, err := m.Handshake(ctx); err != nil { // all messages of the response, and the refusal as a *bayeux.Error
		return err
	}
	sub, err := bayeux.NewSubscribe(m.ID(), "/foo/**", "/bar/foo") // or m.Subscribe; duplicates are dropped
	if err != nil {
		return err
	}
	if _, err := m.Send(ctx, sub); err != nil {
		return err
	}
	for m.State() != bayeux.Stopped {
		got, err := m.Connect(ctx) // one /meta/connect: events and the reply, in the order they came
		if err != nil {
			return err
		}
		fmt.Println(got, m.Advice().Interval.Or(0))
	}
	_, err = m.Disconnect(ctx)
	return err
}

// 13. Graceful shutdown.
func run(srv *server.Server, mux http.Handler) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hs := &http.Server{Addr: ":8080", Handler: mux}
	go hs.ListenAndServe()
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(srv.Shutdown(ctx), hs.Shutdown(ctx)) // sockets and held polls first, then the listener
}

// 14. Test and measure one's own program.
func testAlert(t *testing.T) {
	srv := cometdtest.NewServer(t) // in memory, so testing/synctest works; ended by t.Cleanup
	go watch(t.Context(), srv.Dial())
	srv.AwaitSubscriber("/alerts")
	srv.Cut()    // every connection breaks, sessions live
	srv.Forget() // and every session is unknown: the client must handshake and subscribe again
	srv.AwaitSubscriber("/alerts")
	srv.Publish(t.Context(), "/alerts", "fire")
	if m := srv.AwaitPublished("/acks"); string(m.Data) != `"fire"` {
		t.Errorf("acked %s", m.Data)
	}
}

func benchmarkQuotes(b *testing.B) {
	srv := cometdtest.NewHTTPServer(b) // real sockets on a loopback listener
	readers := srv.Audience(1000, "/quotes/ACME")
	for b.Loop() {
		srv.Publish(b.Context(), "/quotes/ACME", Quote{"ACME", 1})
	}
	readers.Await(1000 * b.N)
	b.ReportMetric(float64(readers.Latency(0.99)), "p99-ns")
}

// The compiler is the test; this uses what no other program does.
var _ = []any{
	serve, subscribeAndPublish, quotes, quotesByCallback, prices, serveAdd, callAdd, policy, dialWithToken, salesforce,
	withTenant, listen, basePaths, useLines, withExtensions, byHand, run, testAlert, benchmarkQuotes,
}
