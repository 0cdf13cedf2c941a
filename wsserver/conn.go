//go:build !js

package wsserver

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/wire"
	"github.com/gocometd/cometd/transport"
)

// A conn is the server end of one WebSocket.
type conn struct {
	sock   *wire.Socket
	in     wire.Reader
	peer   *transport.Peer
	ctx    context.Context
	cancel context.CancelFunc
	ending sync.Once
}

// A starter is a conn that can be written without blocking.
type starter struct{ *conn }

// Start sends p and never waits: see transport.Starter.
func (s starter) Start(p *transport.Payload, done func(error)) bool { return s.sock.Start(p, done) }

// run serves the conn and returns when nothing of it is left.
func (c *conn) run(serve func(transport.Conn)) {
	defer c.Wait()
	if c.sock.CanStart() {
		serve(starter{c})
		return
	}
	serve(c)
}

// turnAway ends a conn that nobody serves, and waits for no peer.
func (c *conn) turnAway() {
	c.Close(transport.GoingAway)
	c.sock.Linger(0)
}

// Wait gives the close frame and the last payloads their time.
func (c *conn) Wait() {
	c.ending.Do(func() {
		c.Close(transport.Normal)
		c.sock.Linger(linger)
	})
}

// Receive waits for a text message and reads it as it comes.
func (c *conn) Receive() (io.Reader, error) { return c.in.Next() }

// Send sends p as one frame.
func (c *conn) Send(p *transport.Payload) error { return c.sock.Send(p) }

// Close tells the peer the reason.
func (c *conn) Close(r transport.Reason) error { return c.Refuse(r, r.Text()) }

// Refuse is Close with another text; the close frame has room for 123 bytes.
func (c *conn) Refuse(r transport.Reason, text string) error {
	c.sock.Shut(r.CloseCode(), cmp.Or(text, r.Text()))
	c.cancel()
	return nil
}

func (c *conn) Peer() *transport.Peer    { return c.peer }
func (c *conn) Context() context.Context { return c.ctx }

// explain says in the transport's terms what ended a conn. A browser that
// leaves the page says 1001, which is as good an end as 1000.
func explain(op string, err error) error {
	e := &transport.Error{Type: bayeux.WebSocket, Op: op, Reason: transport.Internal, Err: err}
	if end, ok := errors.AsType[*wire.CloseError](err); ok {
		switch end.Code {
		case 1000, 1001, 1005:
			return io.EOF
		}
		e.Reason, e.Limit = transport.CodeReason(end.Code), end.Limit
		return e
	}
	switch {
	case errors.Is(err, net.ErrClosed):
		return transport.ErrClosed
	case errors.Is(err, wire.ErrStalled):
		e.Reason = transport.Stalled
	case errors.Is(err, wire.ErrSilent):
		e.Reason = transport.Idle
	case err == io.EOF:
		e.Err = io.ErrUnexpectedEOF // without a close frame
	}
	return e
}
