package wsclient

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"syscall/js"

	"github.com/gocometd/cometd/transport"
)

// dial asks the browser for a socket.
func (d *dialer) dial(ctx context.Context, t *transport.Target, u *url.URL) (transport.Conn, error) {
	opening, cancel := context.WithTimeout(ctx, d.open)
	defer cancel()
	c := &conn{limit: t.Limit, opened: make(chan error, 1), events: make(chan []event, 1)}
	c.peer = transport.Peer{Type: d.Type(), Addr: u.Host, URL: u}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := c.ask(u, d.subprotocol); err != nil {
		c.cancel()
		return nil, d.failed(unsupported(err))
	}
	var err error
	select {
	case err = <-c.opened:
	case <-opening.Done():
		err = fmt.Errorf("not open within %v", d.open)
	}
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		err = unsupported(err)
	}
	c.Close(transport.Normal)
	return nil, d.failed(err)
}

// ask makes the browser's socket, which opens later.
func (c *conn) ask(u *url.URL, subprotocol string) (err error) {
	constructor := js.Global().Get("WebSocket")
	if constructor.Type() != js.TypeFunction {
		return errors.New("there is no WebSocket here")
	}
	defer func() {
		switch thrown := recover().(type) {
		case nil:
		case js.Error:
			err = thrown
		default:
			panic(thrown)
		}
	}()
	to, protocols := *u, []any{}
	to.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	if subprotocol != "" {
		protocols = append(protocols, subprotocol)
	}
	c.ws = constructor.New(to.String(), protocols)
	c.handler = js.FuncOf(func(_ js.Value, args []js.Value) any {
		c.handle(args[0])
		return nil
	})
	for _, name := range []string{"onopen", "onmessage", "onerror", "onclose"} {
		c.ws.Set(name, c.handler)
	}
	return nil
}
