//go:build !js

package wsclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/coder/websocket"

	"github.com/gocometd/cometd/internal/wire"
	"github.com/gocometd/cometd/transport"
)

var errSlow = errors.New("no answer within the open timeout")

func (d *dialer) dial(ctx context.Context, t *transport.Target, u *url.URL) (transport.Conn, error) {
	opening, cancel := context.WithTimeoutCause(ctx, d.open, errSlow)
	defer cancel()
	up := &upgrade{}
	ws, resp, err := websocket.Dial(opening, u.String(), d.options(t, up))
	if err != nil {
		if resp != nil {
			return nil, d.refused(resp, err)
		}
		return nil, d.unanswered(opening, u, up, err)
	}
	if d.subprotocol != "" && ws.Subprotocol() == "" {
		ws.CloseNow()
		return nil, d.failed(unsupported(fmt.Errorf("the server does not speak the subprotocol %q", d.subprotocol)))
	}
	up.sock.Mute(false)
	if d.deflate > 0 && resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		up.sock.Deflate(d.deflate)
	}
	if d.every > 0 {
		up.sock.Pulse(d.every, d.wait)
	}
	c := &conn{sock: up.sock}
	c.peer = transport.Peer{Type: d.Type(), Addr: up.sock.RemoteAddr().String(), URL: u, Header: resp.Header, TLS: resp.TLS, Proto: resp.ProtoMajor}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.in = wire.NewReader(ws, up.sock, t.Limit, c.cancel)
	return c, nil
}

// options makes the library dial through t.HTTP, jar included, and stop at a
// redirect: where it points belongs in the error.
func (d *dialer) options(t *transport.Target, up *upgrade) *websocket.DialOptions {
	hc := http.Client{}
	if t.HTTP != nil {
		hc = *t.HTTP
	}
	up.through = hc.Transport
	if up.through == nil {
		up.through = http.DefaultTransport
	}
	hc.Transport = up
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o := &websocket.DialOptions{HTTPClient: &hc, HTTPHeader: t.Header.Clone(), Host: t.Header.Get("Host")}
	if d.subprotocol != "" {
		o.Subprotocols = []string{d.subprotocol}
	}
	if d.deflate > 0 {
		o.CompressionMode = websocket.CompressionNoContextTakeover
	}
	return o
}

// refused is the error for an answer that did not open a WebSocket.
func (d *dialer) refused(resp *http.Response, err error) error {
	e := d.failed(nil)
	e.Status = resp.StatusCode
	e.Reason = transport.StatusReason(resp.StatusCode)
	e.Location = resp.Header.Get("Location")
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	e.Detail = firstLine(resp.Body)
	switch resp.StatusCode {
	case http.StatusUnauthorized:
	case http.StatusSwitchingProtocols:
		e.Err = unsupported(err) // not a 101 that RFC 6455 §4.1 allows
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
		err = failed // without the library's words around it, which have the URL as it was
	}
	if err == errSlow {
		err = fmt.Errorf("%w of %v", errSlow, d.open)
		if up.asked {
			err = unsupported(err)
		}
	}
	return d.failed(err)
}

// retryAfter reads a Retry-After header: seconds, or a date.
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.Atoi(v); err == nil {
		return max(0, time.Duration(s)*time.Second)
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// firstLine is what an answer says, for people: one short line without control
// characters.
func firstLine(body io.Reader) string {
	if body == nil {
		return ""
	}
	b, _ := io.ReadAll(io.LimitReader(body, 200))
	line, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(b), "")), "\n")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, line)
}

// An upgrade is the RoundTripper of one Dial. It puts our Socket between the
// library and the connection that the 101 hands over.
type upgrade struct {
	through http.RoundTripper
	nc      net.Conn // the connection itself, if through tells
	asked   bool     // the request was written
	sock    *wire.Socket
}

func (u *upgrade) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { u.nc, u.asked = i.Conn, true },
	})
	resp, err := u.through.RoundTrip(r.WithContext(ctx))
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	if rwc, ok := resp.Body.(io.ReadWriteCloser); ok {
		u.sock = wire.NewSocket(&body{rwc, u.nc}, nil, wire.Config{Client: true, Explain: explain})
		u.sock.Mute(true) // until Dial has found the answer good
		resp.Body = u.sock
	}
	return resp, err
}

// A body is a 101's body as a net.Conn. Without nc it has no deadlines.
type body struct {
	io.ReadWriteCloser
	nc net.Conn
}

var errNoDeadline = errors.New("wsclient: the http.RoundTripper does not show its connection")

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
