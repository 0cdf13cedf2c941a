package cometdtest

import (
	"encoding/json"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A Script is a server without a mind of its own: the test takes each request
// and answers it, well or badly. Only the test's own goroutine may use it.
type Script struct {
	// URL answers WebSocket and long-polling on a loopback port.
	URL string

	t        testing.TB
	web      *httptest.Server
	requests chan request
	closed   chan struct{}
	once     sync.Once

	mu    sync.Mutex
	asked map[*bayeux.Message]transport.Conn // unanswered
	last  transport.Conn
	open  map[transport.Conn]struct{}
}

type request struct {
	m    *bayeux.Message
	conn transport.Conn
}

// NewScript makes a script. It is closed by t.Cleanup.
func NewScript(t testing.TB) *Script {
	s := &Script{t: t, requests: make(chan request, 1024), closed: make(chan struct{})}
	s.asked = map[*bayeux.Message]transport.Conn{}
	s.open = map[transport.Conn]struct{}{}
	t.Cleanup(s.Close)
	return s
}

// Listen opens a loopback port and sets URL, for clients that are not made by
// Dial. It returns the script.
func (s *Script) Listen() *Script {
	s.web = httptest.NewServer(&front{s.serve})
	s.URL = s.web.URL + "/cometd"
	return s
}

// Dial makes a client of this script that has a stream and, after it, polling,
// both in memory. It is closed by t.Cleanup; in a bubble of testing/synctest
// close it yourself.
func (s *Script) Dial(opts ...client.Option) *client.Client {
	std := client.WithTransports(memory.NewDialer(s.serve), memory.NewPollDialer(s.serve))
	c, err := client.New("http://script.test/cometd", append([]client.Option{std}, opts...)...)
	if err != nil {
		s.t.Fatalf("cometdtest: %v", err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// Close ends all connections. Again is harmless.
func (s *Script) Close() {
	s.once.Do(func() {
		close(s.closed)
		s.Cut()
		if s.web != nil {
			s.web.Close()
		}
	})
}

// Cut breaks every connection.
func (s *Script) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.Close(transport.Internal)
	}
}

// serve takes the requests of one connection.
func (s *Script) serve(c transport.Conn) {
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}()
	for {
		r, err := c.Receive()
		if err != nil {
			return
		}
		b, err := codec.Read(r, codec.Limits{Bytes: -1})
		if err != nil {
			c.Close(transport.BadPayload)
			return
		}
		for _, m := range b.Detach() {
			select {
			case s.requests <- request{m, c}:
			case <-s.closed:
			}
		}
		b.Release()
	}
}

// Expect waits for the next request and returns it. It fails the test if that
// is not on ch; "" is any channel.
func (s *Script) Expect(ch string) *bayeux.Message {
	s.t.Helper()
	select {
	case r := <-s.requests:
		s.mu.Lock()
		s.asked[r.m], s.last = r.conn, r.conn
		s.mu.Unlock()
		if ch != "" && r.m.Channel != ch {
			s.t.Fatalf("cometdtest: expected a request on %s, got %v", ch, r.m)
		}
		return r.m
	case <-time.After(patience):
		s.t.Fatalf("cometdtest: no request on %s within %v", ch, patience)
	}
	return nil
}

// Reply answers a request with the messages given, in one payload and in that
// order. If none of them is a reply to it, a successful one is put last: for a
// handshake with the clientId "script" and both transports, for a connect with
// the advice to retry at once.
func (s *Script) Reply(req *bayeux.Message, with ...*bayeux.Message) {
	s.t.Helper()
	answered := false
	for _, m := range with {
		answered = answered || m.Channel == req.Channel && m.Outcome != bayeux.NoOutcome
	}
	if !answered {
		with = append(with[:len(with):len(with)], success(req))
	}
	s.mu.Lock()
	c := s.asked[req]
	delete(s.asked, req)
	s.mu.Unlock()
	if c == nil {
		s.t.Fatalf("cometdtest: not a request that waits for its reply: %v", req)
	}
	p := &transport.Payload{}
	for _, m := range with {
		text, err := codec.AppendMessage(nil, m)
		if err != nil {
			s.t.Fatalf("cometdtest: reply: %v", err)
		}
		p.Messages = append(p.Messages, text)
	}
	if req.Channel == bayeux.MetaHandshake {
		p.Kind = transport.Handshake
	}
	c.Send(p) // a client that has gone is the test's own wish
}

func success(req *bayeux.Message) *bayeux.Message {
	r := &bayeux.Message{Channel: req.Channel, ID: req.ID, Outcome: bayeux.Succeeded, Subscription: req.Subscription}
	retry := &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(0), Timeout: bayeux.SpanOf(20 * time.Second)}
	switch req.Channel {
	case bayeux.MetaHandshake:
		r.ClientID, r.Version = "script", bayeux.Version
		r.SupportedConnectionTypes = []string{bayeux.WebSocket, bayeux.LongPolling}
		r.Advice = retry
	case bayeux.MetaConnect:
		r.Advice = retry
	}
	return r
}

// Raw sends a payload as it is, a JSON array or anything between [ and ], on
// the connection of the last request that Expect returned.
func (s *Script) Raw(payload string) {
	s.t.Helper()
	s.mu.Lock()
	c := s.last
	s.mu.Unlock()
	if c == nil {
		s.t.Fatalf("cometdtest: nobody to send to: no request yet")
	}
	n := len(payload)
	if n < 2 || payload[0] != '[' || payload[n-1] != ']' {
		s.t.Fatalf("cometdtest: raw payload is not in brackets: %q", payload)
	}
	p := &transport.Payload{}
	if n > 2 {
		p.Messages = [][]byte{json.RawMessage(payload[1 : n-1])}
	}
	c.Send(p)
}
