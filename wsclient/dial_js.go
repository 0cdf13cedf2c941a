package wsclient

import (
	"context"
	"errors"
	"io"
	"net/url"

	"github.com/coder/websocket"

	"github.com/gocometd/cometd/transport"
)

// dial asks the browser for a socket.
func (d *dialer) dial(ctx context.Context, t *transport.Target, u *url.URL) (transport.Conn, error) {
	opening, cancel := context.WithTimeout(ctx, d.open)
	defer cancel()
	o := &websocket.DialOptions{}
	if d.subprotocol != "" {
		o.Subprotocols = []string{d.subprotocol}
	}
	ws, _, err := websocket.Dial(opening, u.String(), o)
	if err != nil {
		if ctx.Err() != nil {
			return nil, d.failed(ctx.Err())
		}
		return nil, d.failed(unsupported(err)) // a browser does not say why
	}
	limit := int64(-1)
	if t.Limit > 0 {
		limit = int64(t.Limit)
	}
	ws.SetReadLimit(limit)
	c := &conn{ws: ws, limit: t.Limit, in: make(chan message)}
	c.peer = transport.Peer{Type: d.Type(), Addr: u.Host, URL: u}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go c.pump()
	return c, nil
}

// A conn is the client end of one WebSocket that a browser holds.
type conn struct {
	ws     *websocket.Conn
	limit  int
	in     chan message
	peer   transport.Peer
	ctx    context.Context
	cancel context.CancelFunc
}

type message struct {
	r   io.Reader
	err error
}

// pump hands messages over. It ends when the browser says that the socket has
// closed, which may be long after Close.
func (c *conn) pump() {
	defer c.cancel()
	for {
		typ, r, err := c.ws.Reader(context.Background())
		if err == nil && typ != websocket.MessageText {
			err = websocket.CloseError{Code: websocket.StatusUnsupportedData, Reason: "only text messages are taken"}
			c.ws.Close(websocket.StatusNormalClosure, "") // a browser sends no 1003
		}
		select {
		case c.in <- message{r, err}:
		case <-c.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// Receive waits for a message.
func (c *conn) Receive() (io.Reader, error) {
	select {
	case m := <-c.in:
		if m.err != nil {
			return nil, c.explain("receive", m.err)
		}
		return m.r, nil
	case <-c.ctx.Done():
		return nil, transport.ErrClosed
	}
}

// Send gives p to the browser, which never blocks.
func (c *conn) Send(p *transport.Payload) error {
	if c.ctx.Err() != nil {
		return transport.ErrClosed
	}
	if err := c.ws.Write(context.Background(), websocket.MessageText, p.AppendTo(nil)); err != nil {
		return c.explain("send", err)
	}
	return nil
}

// Close tells the browser to close the socket and does not wait for it. A page
// may say 1000 and codes from 3000 on only.
func (c *conn) Close(r transport.Reason) error {
	c.cancel()
	code := r.CloseCode()
	if code < 3000 {
		code = 1000
	}
	go c.ws.Close(websocket.StatusCode(code), r.Text()) // ends when the browser has closed
	return nil
}

func (c *conn) Peer() *transport.Peer    { return &c.peer }
func (c *conn) Context() context.Context { return c.ctx }

func (c *conn) explain(op string, err error) error {
	e := &transport.Error{Type: "websocket", Op: op, Reason: transport.Internal, Err: err}
	switch code := websocket.CloseStatus(err); {
	case errors.Is(err, websocket.ErrMessageTooBig):
		e.Reason, e.Limit = transport.TooLarge, c.limit
	case code == 1000 || code == 1005:
		return io.EOF
	case code > 0:
		e.Reason = transport.CodeReason(int(code))
	}
	return e
}
