//go:build !js

package wsclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"

	"github.com/gocometd/cometd/internal/wire"
	"github.com/gocometd/cometd/transport"
)

var errSlow = errors.New("no answer within the open timeout")

func (d *dialer) dial(ctx context.Context, t *transport.Target, u *url.URL) (transport.Conn, error) {
	opening, cancel := context.WithTimeoutCause(ctx, d.open, errSlow)
	defer cancel()
	up := &upgrade{key: wire.NewKey()}
	resp, err := up.ask(opening, d, t, u)
	if err != nil {
		return nil, d.unanswered(opening, u, up, err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer resp.Body.Close()
		return nil, d.refused(resp)
	}
	taken, takeover, err := up.check(resp, d)
	if err != nil {
		resp.Body.Close()
		e := d.failed(unsupported(err))
		e.Status = resp.StatusCode
		return nil, e
	}
	sock := wire.NewSocket(&body{resp.Body.(io.ReadWriteCloser), up.nc}, wire.Config{Client: true, Explain: explain})
	c := &conn{sock: sock}
	c.peer = transport.Peer{Type: d.Type(), Addr: sock.RemoteAddr().String(), URL: u, Header: resp.Header, TLS: resp.TLS, Proto: resp.ProtoMajor}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.in = wire.NewReader(sock, nil, t.Limit, c.cancel)
	if taken {
		sock.Deflate(d.deflate)
		c.in.Inflate(takeover)
	}
	if d.every > 0 {
		sock.Pulse(d.every, d.wait)
	}
	return c, nil
}

// An upgrade is the request for one WebSocket.
type upgrade struct {
	key   string
	nc    net.Conn // the connection itself, if the RoundTripper tells
	asked bool     // there was one
}

// ask sends the request through t.HTTP, jar included, and stops at a redirect:
// where it points belongs in the error.
func (u *upgrade) ask(ctx context.Context, d *dialer, t *transport.Target, to *url.URL) (*http.Response, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { u.nc, u.asked = i.Conn, true },
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(r.Header, t.Header)
	r.Host = cmp.Or(t.Header.Get("Host"), r.Host)
	r.Header["Upgrade"], r.Header["Connection"] = []string{"websocket"}, []string{"Upgrade"}
	r.Header["Sec-WebSocket-Version"], r.Header["Sec-WebSocket-Key"] = []string{"13"}, []string{u.key}
	if d.subprotocol != "" {
		r.Header["Sec-WebSocket-Protocol"] = []string{d.subprotocol}
	}
	if d.deflate > 0 {
		r.Header["Sec-WebSocket-Extensions"] = []string{wire.Deflate}
	}
	hc := http.Client{}
	if t.HTTP != nil {
		hc = *t.HTTP
	}
	hc.Timeout = 0 // it would cut the WebSocket; ctx bounds the upgrade
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return hc.Do(r)
}

// check reads a 101 (RFC 6455 §4.1). taken is what became of the offer to
// compress.
func (u *upgrade) check(resp *http.Response, d *dialer) (taken, takeover bool, err error) {
	h := resp.Header
	protocol := h.Get("Sec-Websocket-Protocol")
	switch _, ok := resp.Body.(io.ReadWriteCloser); {
	case !ok:
		return false, false, errors.New("the http.RoundTripper does not hand over the connection")
	case !wire.HasToken(h["Upgrade"], "websocket"), !wire.HasToken(h["Connection"], "upgrade"):
		return false, false, errors.New("the answer is not an upgrade to WebSocket")
	case h.Get("Sec-Websocket-Accept") != wire.AcceptOf(u.key):
		return false, false, errors.New("the answer is to another request: Sec-WebSocket-Accept is wrong")
	case protocol != d.subprotocol && protocol == "":
		return false, false, fmt.Errorf("the server does not speak the subprotocol %q", d.subprotocol)
	case protocol != d.subprotocol:
		return false, false, fmt.Errorf("the subprotocol %q was not offered", protocol)
	}
	return wire.DeflateTaken(d.deflate > 0, h["Sec-Websocket-Extensions"])
}

// refused is the error for an answer that did not open a WebSocket.
func (d *dialer) refused(resp *http.Response) error {
	e := d.failed(nil)
	e.Status = resp.StatusCode
	e.Reason = transport.StatusReason(resp.StatusCode)
	e.Location = resp.Header.Get("Location")
	e.RetryAfter = transport.RetryAfter(resp.Header.Get("Retry-After"), time.Now())
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // it may be a page of any size from any proxy
	e.Detail = transport.Detail(string(text))
	switch resp.StatusCode {
	case http.StatusUnauthorized: // other transports would get it as well
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // for now
	default:
		e.Err = transport.ErrUnsupported
	}
	return e
}

// unanswered is the error for no answer. A server that was reached and asked
// but says nothing has something in between that knows no upgrade.
func (d *dialer) unanswered(ctx context.Context, u *url.URL, up *upgrade, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		failed.URL = transport.Redacted(u)
	}
	if errors.Is(err, errSlow) {
		err = fmt.Errorf("%w of %v", errSlow, d.open)
		if up.asked {
			err = unsupported(err)
		}
	}
	e := d.failed(err)
	if up.asked && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Reason = transport.Stalled
	}
	return e
}

// A body is a 101's body as a net.Conn. Without nc it has no deadlines.
type body struct {
	io.ReadWriteCloser
	nc net.Conn
}

var errNoDeadline = errors.New("wsclient: the http.RoundTripper does not show its connection")

// NetConn is what a Socket closes that is cut: the connection under TLS, whose
// farewell could block.
func (b *body) NetConn() net.Conn {
	switch nc := b.nc.(type) {
	case interface{ NetConn() net.Conn }:
		return nc.NetConn()
	case nil:
		return b
	}
	return b.nc
}

func (b *body) LocalAddr() net.Addr  { return b.addr(net.Conn.LocalAddr) }
func (b *body) RemoteAddr() net.Addr { return b.addr(net.Conn.RemoteAddr) }

func (b *body) addr(of func(net.Conn) net.Addr) net.Addr {
	if b.nc == nil {
		return &net.TCPAddr{}
	}
	return cmp.Or(of(b.nc), net.Addr(&net.TCPAddr{}))
}

func (b *body) SetDeadline(t time.Time) error {
	return errors.Join(b.SetReadDeadline(t), b.SetWriteDeadline(t))
}

func (b *body) SetReadDeadline(t time.Time) error {
	if b.nc == nil {
		return errNoDeadline
	}
	return b.nc.SetReadDeadline(t)
}

func (b *body) SetWriteDeadline(t time.Time) error {
	if b.nc == nil {
		return errNoDeadline
	}
	return b.nc.SetWriteDeadline(t)
}
