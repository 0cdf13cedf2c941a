package client

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/stretchr/testify/require"
)

// A switchboard is a dialer that tests can make fail, and whose Conns they can
// cut.
type switchboard struct {
	transport.Dialer
	mu       sync.Mutex
	err      error
	hangs    bool
	dials    int
	conns    []transport.Conn
	takes    time.Duration // a refusal
	refusals int
}

func (s *switchboard) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *switchboard) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	s.mu.Lock()
	err, hangs := s.err, s.hangs
	s.dials++
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	conn, dialErr := s.Dialer.Dial(ctx, t)
	if dialErr != nil {
		return nil, dialErr
	}
	if err != nil && !conn.Peer().Once {
		s.refuse(conn)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, conn)
	return counted{conn, s}, nil
}

// tries is how often something was dialled.
func (s *switchboard) tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// refuse counts what it refuses.
func (s *switchboard) refuse(conn transport.Conn) {
	conn.Close(transport.Internal)
	s.mu.Lock()
	s.refusals++
	s.mu.Unlock()
	time.Sleep(s.takes)
}

// cut breaks all connections.
func (s *switchboard) cut() {
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for _, c := range conns {
		c.Close(transport.Internal)
	}
}

// counted refuses an exchange when it is sent: to dial one is free.
type counted struct {
	transport.Conn
	s *switchboard
}

func (c counted) Send(p *transport.Payload) error {
	c.s.mu.Lock()
	err := c.s.err
	c.s.mu.Unlock()
	if err != nil {
		c.s.refuse(c.Conn)
		return err
	}
	return c.Conn.Send(p)
}

// both runs a test on a stream and on exchanges.
func both(t *testing.T, run func(t *testing.T, f *fake, d *switchboard)) {
	for _, kind := range []string{streams, polls} {
		t.Run(kind, func(t *testing.T) {
			f := newFake()
			run(t, f, board(f, kind))
		})
	}
}

func board(f *fake, kind string) *switchboard {
	if kind == polls {
		return &switchboard{Dialer: memory.NewPollDialer(f.serve)}
	}
	return &switchboard{Dialer: memory.NewDialer(f.serve)}
}

func start(t *testing.T, dialers []transport.Dialer, opts ...Option) *Client {
	t.Helper()
	c, err := New(testURL, append([]Option{WithTransports(dialers...)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c
}

func dialers(ds ...*switchboard) (out []transport.Dialer) {
	for _, d := range ds {
		out = append(out, d)
	}
	return out
}

// picky dials exchanges that refuse payloads of several messages with 422, until it
// is mended.
type picky struct {
	transport.Dialer
	f      *fake
	mended atomic.Bool
}

func (p *picky) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	conn, err := p.Dialer.Dial(ctx, t)
	if p.mended.Load() {
		return conn, err
	}
	return &pickyConn{Conn: conn}, err
}

type pickyConn struct {
	transport.Conn
	many bool
}

func (c *pickyConn) Send(p *transport.Payload) error {
	if c.many = len(p.Messages) > 1; c.many {
		return nil
	}
	return c.Conn.Send(p)
}

func (c *pickyConn) Receive() (io.Reader, error) {
	if c.many {
		return nil, &transport.Error{Type: bayeux.LongPolling, Op: "receive", Status: 422}
	}
	return c.Conn.Receive()
}
