package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// serve makes a server behind a loopback listener.
func serve(b *testing.B, opts ...server.Option) (*server.Server, *url.URL) {
	srv, err := cometd.NewServer(opts...)
	require.NoError(b, err)
	web := httptest.NewServer(srv)
	b.Cleanup(func() {
		srv.Close()
		web.Close()
	})
	u, err := url.Parse(web.URL)
	require.NoError(b, err)
	return srv, u
}

// A listener is a subscriber without a client around it, so that what is
// measured is the server and the sockets. It counts events and answers connect
// replies with connects.
type listener struct {
	dialer transport.Dialer
	target *transport.Target
	stream transport.Conn
	free   func() bool // ends that ctx closes the Conn in use
	id     string
	next   int
	heard  *tally
	order  order
}

// audience makes n listeners on ch, whose events are counted by heard and must be
// in order.
func audience(b *testing.B, u *url.URL, typ string, n int, ch func(i int) string, heard *tally) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	web := &http.Transport{MaxIdleConnsPerHost: 2 * n}
	b.Cleanup(func() {
		cancel()
		all.Wait()
		web.CloseIdleConnections()
	})
	ready := make(chan error, n)
	for i := range n {
		l := newListener(u, typ, web, heard)
		all.Go(func() { l.run(ctx, ch(i), ready) })
	}
	for range n {
		require.NoError(b, <-ready)
	}
}

func newListener(u *url.URL, typ string, web *http.Transport, heard *tally) *listener {
	jar, _ := cookiejar.New(nil)
	l := &listener{heard: heard, dialer: wsclient.NewDialer(wsclient.WithPing(0, 0))}
	l.target = &transport.Target{URL: u, HTTP: &http.Client{Jar: jar, Transport: web}, Limit: 10 << 20}
	if typ == bayeux.LongPolling {
		l.dialer = longpoll.NewDialer()
	}
	return l
}

func (l *listener) run(ctx context.Context, ch string, ready chan<- error) {
	err := l.join(ctx, ch)
	ready <- err
	if err != nil {
		return
	}
	for err == nil {
		err = l.connect(ctx)
	}
	if ctx.Err() == nil {
		l.heard.fail(err)
	}
}

// join handshakes, connects once and subscribes.
func (l *listener) join(ctx context.Context, ch string) error {
	ms, err := l.ask(ctx, &bayeux.Message{Channel: bayeux.MetaHandshake, Version: "1.0", SupportedConnectionTypes: []string{l.dialer.Type()}})
	if err != nil {
		return err
	}
	l.id = ms[len(ms)-1].ClientID
	if _, err = l.ask(ctx, &bayeux.Message{Channel: bayeux.MetaConnect, ClientID: l.id, ConnectionType: l.dialer.Type()}); err != nil {
		return err
	}
	_, err = l.ask(ctx, &bayeux.Message{Channel: bayeux.MetaSubscribe, ClientID: l.id, Subscription: bayeux.Subscription{Channels: []string{ch}}})
	return err
}

// ask sends a message and returns the payload that has its reply.
func (l *listener) ask(ctx context.Context, m *bayeux.Message) ([]*bayeux.Message, error) {
	l.next++
	m.ID = fmt.Sprint(l.next)
	c, err := l.send(ctx, m)
	if err != nil {
		return nil, err
	}
	defer l.done(c)
	r, err := c.Receive()
	if err != nil {
		return nil, err
	}
	var ms []*bayeux.Message
	if err := json.NewDecoder(r).Decode(&ms); err != nil {
		return nil, err
	}
	if m := ms[len(ms)-1]; m.Err() != nil {
		return nil, m.Err()
	}
	return ms, nil
}

func (l *listener) send(ctx context.Context, m *bayeux.Message) (transport.Conn, error) {
	c := l.stream
	if c == nil {
		var err error
		if c, err = l.dialer.Dial(ctx, l.target); err != nil {
			return nil, err
		}
		l.free = context.AfterFunc(ctx, func() { c.Close(transport.GoingAway) })
		if !c.Peer().Once {
			l.stream = c
		}
	}
	text, err := codec.AppendMessage(nil, m)
	if err != nil {
		return nil, err
	}
	return c, c.Send(&transport.Payload{Messages: [][]byte{text}})
}

var replyMark = []byte(`"/meta/connect"`)

// connect sends a connect and counts what comes until it is answered.
func (l *listener) connect(ctx context.Context) error {
	l.next++
	c, err := l.send(ctx, &bayeux.Message{Channel: bayeux.MetaConnect, ID: fmt.Sprint(l.next), ClientID: l.id, ConnectionType: l.dialer.Type()})
	if err != nil {
		return err
	}
	defer l.done(c)
	for {
		r, err := c.Receive()
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		n, err := l.order.check(text)
		if err != nil {
			return err
		}
		if n > 0 {
			l.heard.add(n)
		}
		if bytes.Contains(text, replyMark) {
			return nil
		}
	}
}

// done lets go of an exchange that has its answer.
func (l *listener) done(c transport.Conn) {
	if c.Peer().Once {
		l.free()
		c.Close(transport.Normal)
	}
}

// perDelivery reports the process's CPU time and the wall time per delivery.
func perDelivery(b *testing.B, deliveries int, run func()) {
	cpu, began := cpuTime(b), time.Now()
	run()
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(deliveries), "cpu-ns/delivery")
	b.ReportMetric(float64(deliveries)/time.Since(began).Seconds(), "deliveries/s")
}
