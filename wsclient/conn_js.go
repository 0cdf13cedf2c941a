package wsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall/js"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

const (
	// mostUnread is what may lie unread: a browser takes whatever comes, and
	// cannot be told to wait.
	mostUnread = 64 << 20

	// perEvent is the memory of an event beside its text.
	perEvent = 64

	openState = 1 // WebSocket.OPEN
)

// A conn is the client end of one WebSocket that a browser holds.
type conn struct {
	ws      js.Value
	handler js.Func
	limit   int // bytes of a message; 0 or less: no bound
	peer    transport.Peer
	ctx     context.Context
	cancel  context.CancelFunc

	opened chan error   // nil, or why it did not open
	events chan []event // one element, if any: all that Receive has not seen
	unread atomic.Int64 // bytes of it, and of seen

	// The browser's, in handle.
	told bool // opened was
	over bool // no event is wanted any more

	// Receive's.
	seen []event
	end  error
}

// An event is a message, or the end, behind all messages.
type event struct {
	text string
	end  error
}

func (e event) size() int64 { return int64(len(e.text)) + perEvent }

// handle takes an event from the browser, which brings one after the other. It
// never waits: the page would stand still.
func (c *conn) handle(e js.Value) {
	switch e.Get("type").String() {
	case "open":
		c.tell(nil)
	case "error": // the end, before it has opened; after that a close says more
		c.tell(errors.New("the browser does not say why"))
	case "message":
		c.message(e.Get("data"))
	case "close":
		c.handler.Release()
		c.closed(e.Get("code").Int(), e.Get("reason").String())
	}
}

// tell says once what has become of opening, and whether it did that now.
func (c *conn) tell(err error) bool {
	if c.told {
		return false
	}
	c.told = true
	c.opened <- err
	return true
}

func (c *conn) message(data js.Value) {
	if c.over || c.ctx.Err() != nil {
		return
	}
	if data.Type() != js.TypeString {
		c.refuse(&transport.Error{Reason: transport.BadPayload, Err: errors.New("only text messages are taken")})
		return
	}
	e := event{text: data.String()}
	switch unread := c.unread.Load(); {
	case c.limit > 0 && len(e.text) > c.limit:
		c.refuse(&transport.Error{Reason: transport.TooLarge, Limit: c.limit})
	case unread > 0 && unread+e.size() > mostUnread:
		c.refuse(&transport.Error{Reason: transport.Overflow, Err: fmt.Errorf("%d bytes were not received", unread)})
	default:
		c.put(e)
	}
}

// refuse ends the conn because of what came. A page may say 1000 and codes from
// 3000 on only.
func (c *conn) refuse(e *transport.Error) {
	e.Type, e.Op = bayeux.WebSocket, "receive"
	c.put(event{end: e})
	c.over = true
	c.ws.Call("close", 1000, e.Reason.Text())
}

func (c *conn) closed(code int, text string) {
	if !c.tell(fmt.Errorf("closed with %d, and the browser does not say why", code)) && !c.over {
		c.over = true
		c.put(event{end: explain(code, text)})
	}
}

// put leaves e to Receive. Only handle calls it, so that there is room again once
// all has been taken out.
func (c *conn) put(e event) {
	var waiting []event
	select {
	case waiting = <-c.events:
	default:
	}
	c.unread.Add(e.size())
	c.events <- append(waiting, e)
}

// Receive waits for a message. The end comes behind all of them.
func (c *conn) Receive() (io.Reader, error) {
	if c.end != nil {
		return nil, c.end
	}
	if c.ctx.Err() != nil {
		return nil, transport.ErrClosed
	}
	if len(c.seen) == 0 {
		select {
		case c.seen = <-c.events:
		case <-c.ctx.Done():
			return nil, transport.ErrClosed
		}
	}
	e := c.seen[0]
	c.seen[0] = event{}
	c.seen = c.seen[1:]
	c.unread.Add(-e.size())
	if e.end != nil {
		c.end = e.end
		c.cancel()
		return nil, c.end
	}
	return strings.NewReader(e.text), nil
}

// Send gives p to the browser, which never blocks.
func (c *conn) Send(p *transport.Payload) error {
	if c.ctx.Err() != nil || c.ws.Get("readyState").Int() != openState {
		return transport.ErrClosed
	}
	c.ws.Call("send", string(p.AppendTo(make([]byte, 0, p.Len()))))
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
	c.ws.Call("close", code, r.Text())
	return nil
}

func (c *conn) Peer() *transport.Peer    { return &c.peer }
func (c *conn) Context() context.Context { return c.ctx }

// explain says in the transport's terms how a server or the network ended a conn.
func explain(code int, text string) error {
	e := &transport.Error{Type: bayeux.WebSocket, Op: "receive", Reason: transport.CodeReason(code)}
	switch code {
	case 1000, 1005:
		return io.EOF
	case 1006:
		e.Err = io.ErrUnexpectedEOF // without a close frame
	default:
		e.Err = fmt.Errorf("closed by the server: %d %q", code, text)
	}
	return e
}
