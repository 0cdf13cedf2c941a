package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// An endpoint is the server's address with what every request to it carries:
// header, credentials, cookies, the http.Client. A Client and a Manual have one.
type endpoint struct {
	cfg  *config
	url  *url.URL
	http *http.Client
	jar  *jar  // nil when the user's http.Client brought one
	own  *pool // nil when the user's http.Client brought a transport

	mu    lock.Mutex[lock.Endpoint]
	token AccessToken
}

func newEndpoint(raw string, cfg *config) (*endpoint, error) {
	u, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	e := &endpoint{cfg: cfg, url: u, token: cfg.token, http: &http.Client{}}
	if cfg.http != nil {
		*e.http = *cfg.http
		e.http.Timeout = 0
	}
	if e.http.Transport == nil {
		e.http.Transport = http.DefaultTransport
		if def, ok := http.DefaultTransport.(*http.Transport); ok { // else the program has put one of its own there
			e.own = newPool(def)
			e.http.Transport = e.own
		}
	}
	if e.http.Jar == nil {
		e.jar = &jar{through: e.http.Transport, url: u, seed: cfg.cookies}
		e.http.Transport = e.jar
		e.jar.reset()
	} else {
		e.http.Jar.SetCookies(u, cfg.cookies)
	}
	return e, nil
}

// parseURL takes ws and wss for http and https.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the text, which may hold a password
		}
		return nil, fmt.Errorf("client: URL: %w", err)
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		u.Opaque = "" // of user:password@host, which is a scheme and this
		return nil, fmt.Errorf("client: URL is neither http nor https: %q", transport.Redacted(u))
	}
	if u.Host == "" {
		return nil, fmt.Errorf("client: URL has no host: %q", transport.Redacted(u))
	}
	return u, nil
}

// dial opens a Conn with the credentials of now.
func (e *endpoint) dial(ctx context.Context, d transport.Dialer) (transport.Conn, error) {
	h := e.cfg.header.Clone()
	if v := e.authorization(); v != "" {
		if h == nil {
			h = make(http.Header)
		}
		h.Set("Authorization", v)
	}
	return d.Dial(ctx, &transport.Target{URL: e.url, Header: h, HTTP: e.http, Limit: e.cfg.limits.MessageBytes})
}

// forgetCookies forgets cookies and idle connections, so that the next request may
// reach another node behind a balancer.
func (e *endpoint) forgetCookies() {
	if e.jar != nil {
		e.jar.reset()
	}
	if e.own != nil {
		e.own.CloseIdleConnections()
	}
}

// reroute makes the next requests open connections of their own: a request that is
// given up ends its connection with HTTP/1.1, but with HTTP/2 the next one would go
// the same way, where everything may vanish. The connections of a transport that the
// program brought may be others' too; see [WithHTTPClient].
func (e *endpoint) reroute() {
	if e.own != nil {
		e.own.renew()
	}
}

func (e *endpoint) close() {
	if e.own != nil {
		e.own.CloseIdleConnections()
	}
}
