package memory

import (
	"context"
	"crypto/rand"
	"net/http"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

const cookieName = "BAYEUX_BROWSER"

// NewDialer dials streams that stand in for WebSockets; their Type is
// "websocket". Each Dial runs serve with the server's end on a goroutine of its
// own, as an Acceptor does; serve is usually Server.ServeConn, which waits for
// it in Shutdown. Target.Limit bounds both ends.
func NewDialer(serve func(transport.Conn)) transport.Dialer {
	return &dialer{serve: serve, typ: bayeux.WebSocket}
}

// NewLocalDialer is NewDialer for a client that lives in the server's process
// and says so: its Type is "in-process".
func NewLocalDialer(serve func(transport.Conn)) transport.Dialer {
	return &dialer{serve: serve, typ: bayeux.InProcess}
}

// NewPollDialer dials exchanges that stand in for long-polling; their Type is
// "long-polling". Each runs serve with the server's end on a goroutine of its
// own when it is sent. Target.Limit bounds both ends.
func NewPollDialer(serve func(transport.Conn)) transport.Dialer {
	return &dialer{serve: serve, typ: bayeux.LongPolling}
}

type dialer struct {
	serve func(transport.Conn)
	typ   string

	mu      lock.Mutex[lock.Dialer]
	browser string // the cookie, when there is no jar
}

func (d *dialer) Type() string { return d.typ }

func (d *dialer) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, &transport.Error{Type: d.typ, Op: "dial", Reason: transport.Internal, Err: err}
	}
	if d.typ == bayeux.LongPolling {
		return newExchange(d, t), nil
	}
	value, fresh := d.cookie(t)
	client, server := pipe(t, value)
	client.peer.Type, server.peer.Type = d.typ, d.typ
	if server.peer.Fresh = fresh; fresh {
		d.setCookie(t, value) // a WebSocket's comes with the 101
	}
	go d.serveStream(server)
	return client, nil
}

func (d *dialer) serveStream(s *stream) {
	defer s.Close(transport.Internal)
	d.serve(s)
}

// cookie is what a request to t presents, or a fresh value.
func (d *dialer) cookie(t *transport.Target) (value string, fresh bool) {
	if jar := jarOf(t); jar != nil {
		for _, c := range jar.Cookies(t.URL) {
			if c.Name == cookieName {
				return c.Value, false
			}
		}
		return rand.Text(), true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.browser == "" {
		return rand.Text(), true
	}
	return d.browser, false
}

func (d *dialer) setCookie(t *transport.Target, value string) {
	if jar := jarOf(t); jar != nil {
		jar.SetCookies(t.URL, []*http.Cookie{{Name: cookieName, Value: value, Path: "/", HttpOnly: true}})
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.browser = value
}

// jarOf is t's cookie jar, if it can keep cookies for t's URL. Package client's
// own is a RoundTripper too, which sends over HTTP what it keeps.
func jarOf(t *transport.Target) http.CookieJar {
	if t.HTTP == nil || t.URL == nil || t.URL.Scheme != "http" && t.URL.Scheme != "https" {
		return nil
	}
	if jar, ok := t.HTTP.Transport.(http.CookieJar); ok {
		return jar
	}
	return t.HTTP.Jar
}
