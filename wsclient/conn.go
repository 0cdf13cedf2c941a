//go:build !js

package wsclient

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/wire"
	"github.com/gocometd/cometd/transport"
)

// A conn is the client end of one WebSocket.
type conn struct {
	sock   *wire.Socket
	in     wire.Reader
	peer   transport.Peer
	ctx    context.Context
	cancel context.CancelFunc
}

// Receive waits for a text message and reads it as it comes.
func (c *conn) Receive() (io.Reader, error) { return c.in.Next() }

// Send sends p as one masked frame.
func (c *conn) Send(p *transport.Payload) error { return c.sock.Send(p) }

// Close tells the server the reason and closes the connection.
func (c *conn) Close(r transport.Reason) error {
	c.cancel()
	c.sock.Shut(r.CloseCode(), r.Text())
	c.sock.Close()
	return nil
}

func (c *conn) Peer() *transport.Peer    { return &c.peer }
func (c *conn) Context() context.Context { return c.ctx }

// explain says in the transport's terms what ended a conn.
func explain(op string, err error) error {
	e := &transport.Error{Type: bayeux.WebSocket, Op: op, Reason: transport.Internal, Err: err}
	if end, ok := errors.AsType[*wire.CloseError](err); ok {
		switch end.Code {
		case 1000, 1005:
			return io.EOF
		}
		e.Reason, e.Limit = transport.CodeReason(end.Code), end.Limit
		return e
	}
	switch {
	case errors.Is(err, net.ErrClosed):
		return transport.ErrClosed
	case errors.Is(err, wire.ErrSilent):
		e.Reason = transport.Idle
	case err == io.EOF:
		e.Err = io.ErrUnexpectedEOF // without a close frame
	}
	return e
}
