package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// Somebody watches, so attempts are closer together than a service's would be.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	longestOpen  = 10 * time.Second
	leastDelay   = 10 * time.Second // of a reply, for a connection to be taken for broken
)

var errSilent = errors.New("it does not answer")

// connection is what sub, pub and bench share: where the server is and how to reach it.
type connection struct {
	Transport string        `enum:"auto,websocket,long-polling" default:"auto" placeholder:"TYPE" help:"auto (WebSocket, else long-polling), websocket or long-polling. Default: ${default}."`
	Wait      time.Duration `default:"10s" help:"How long to wait for the server: to reach it, and for each of its answers. Default: ${default}."`
	Bearer    string        `xor:"authorization" env:"COMETD_BEARER" placeholder:"TOKEN" help:"Send 'Authorization: Bearer TOKEN'."`
	Basic     string        `xor:"authorization" env:"COMETD_BASIC" placeholder:"USER:PASSWORD" help:"Send HTTP basic authorization."`
	Header    []string      `sep:"none" placeholder:"'K: V'" help:"Send this header too; may be repeated."`
	Cookie    []string      `sep:"none" placeholder:"NAME=VALUE" help:"Send this cookie too; may be repeated."`
	CA        string        `name:"ca" type:"existingfile" placeholder:"FILE" help:"Trust servers with a certificate of these authorities (PEM) only."`
	LogLevel  slog.Level    `default:"error" placeholder:"LEVEL" help:"What to log to stderr: debug, info, warn or error. Default: ${default}."`

	URL string `arg:"" help:"The server, such as http://127.0.0.1:8080/cometd."`
}

// AfterApply refuses what no server could help with, before anything is sent.
func (c *connection) AfterApply() error {
	u, err := url.Parse(c.URL)
	if err != nil {
		return fmt.Errorf("URL: %s, want %s", withoutSecrets(err), wantedURL)
	}
	switch u.Scheme {
	case "ws", "wss":
		c.URL = "http" + c.URL[len("ws"):] // which transport it is says --transport
		u.Scheme = "http"
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("URL is %q, want %s", redacted(u), wantedURL)
	case c.Wait <= 0:
		return fmt.Errorf("--wait is %v, want more than 0", c.Wait)
	}
	return nil
}

const wantedURL = "http://HOST/PATH or https://HOST/PATH"

// withoutSecrets is why a URL cannot be read: without its text, and without the
// piece that net/url quotes, which is of a password that has a slash or a percent
// sign in it.
func withoutSecrets(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	reason, _, _ := strings.Cut(err.Error(), ` "`)
	return reason
}

// redacted is u without what may be secret, also where http:// was forgotten.
func redacted(u *url.URL) string {
	shown := *u
	if at := strings.LastIndex(u.Opaque, "@"); at >= 0 {
		shown.Opaque = "xxxxx" + u.Opaque[at:]
	}
	return transport.Redacted(&shown)
}

// dial returns a connected client, or says within c.Wait why there is none.
func (c *connection) dial(ctx context.Context, tty console, more ...client.Option) (*client.Client, error) {
	return c.dialWatched(ctx, tty, func(client.Change) {}, more...)
}

// dialWatched is dial, and tells watch what the client's hook of states is told.
func (c *connection) dialWatched(ctx context.Context, tty console, watch func(client.Change), more ...client.Option) (*client.Client, error) {
	opts, err := c.options(tty)
	if err != nil {
		return nil, err
	}
	var failure atomic.Pointer[error] // the last one
	failure.Store(&errSilent)
	opts = append(opts, more...)
	opts = append(opts, client.WithHooks(client.Hooks{State: func(now client.Change) {
		if now.Err != nil {
			failure.Store(&now.Err)
		}
		watch(now)
	}}))
	cl, err := client.New(c.URL, opts...)
	if err != nil {
		return nil, usageError{err}
	}
	patience, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	if err := cl.Wait(patience); err != nil {
		defer cl.Close()
		return nil, c.unreached(err, *failure.Load())
	}
	return cl, nil
}

// unreached says why there is no connection: why the last attempt failed is
// more than that the time was over, and what the network said more than who
// asked it.
func (c *connection) unreached(err, lastFailure error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		if request, ok := errors.AsType[*url.Error](lastFailure); ok {
			lastFailure = request.Err
		}
		failed := "reach"
		if answered(lastFailure) {
			failed = "connect to"
		}
		return fmt.Errorf("cannot %s %s within %v: %w", failed, c.shownURL(), c.Wait, lastFailure)
	}
	return fmt.Errorf("cannot connect to %s: %w", c.shownURL(), err)
}

// answered reports whether a failure is an answer of the server's, if a bad one.
func answered(err error) bool {
	_, refused := errors.AsType[*bayeux.Error](err)
	e, _ := errors.AsType[*transport.Error](err)
	return refused || e != nil && e.Status > 0
}

// unanswered says of a wait that has lasted c.Wait what was not answered.
func (c *connection) unanswered(request string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer from %s within %v to %s", c.shownURL(), c.Wait, request)
	}
	return err
}

// shownURL is the URL without what may be secret.
func (c *connection) shownURL() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return "the server" // and AfterApply has said so
	}
	return transport.Redacted(u)
}

func (c *connection) options(tty console) ([]client.Option, error) {
	open := c.Wait
	if c.Transport == "auto" {
		open = min(open, longestOpen) // a WebSocket that hangs leaves time for long-polling
	}
	opts := []client.Option{
		client.WithTransports(c.dialers()...),
		client.WithLogger(newLogger(tty.err, c.LogLevel)),
		client.WithBackoff(firstPause, longestPause),
		client.WithTimeouts(client.Timeouts{Open: open, NetworkDelay: max(c.Wait, leastDelay)}),
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	if token != (client.Token{}) {
		opts = append(opts, client.WithAccessToken(token))
	}
	header, err := c.header()
	if err != nil {
		return nil, err
	}
	if token != (client.Token{}) && header["Authorization"] != nil {
		return nil, badUsage("--header Authorization can't be used together with --bearer or --basic")
	}
	for key, values := range header {
		for _, value := range values {
			opts = append(opts, client.WithHeader(key, value))
		}
	}
	if c.CA != "" {
		web, err := trusting(c.CA)
		if err != nil {
			return nil, err
		}
		opts = append(opts, client.WithHTTPClient(web))
	}
	cookies, err := c.cookies()
	return append(opts, client.WithCookies(cookies...)), err
}

// token is zero where none is to be sent.
func (c *connection) token() (client.Token, error) {
	user, password, ok := strings.Cut(c.Basic, ":")
	switch {
	case !legalValue(c.Bearer):
		return client.Token{}, badUsage("--bearer has a line break or another control character")
	case c.Bearer != "":
		return client.Bearer(c.Bearer), nil
	case c.Basic == "":
		return client.Token{}, nil
	case !ok:
		return client.Token{}, badUsage("--basic has no colon, want USER:PASSWORD") // its value is a secret
	}
	return client.Basic(user, password), nil
}

func (c *connection) header() (http.Header, error) {
	header := http.Header{}
	for _, line := range c.Header {
		key, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch at := strings.IndexFunc(key, notInName); {
		case !ok: // and what it has may be a secret
			return nil, badUsage("--header has no colon, want 'KEY: VALUE'")
		case key == "":
			return nil, badUsage("--header has no name before its colon, want 'KEY: VALUE'")
		case at >= 0:
			return nil, badUsage("--header has a name with an illegal character at byte %d, want 'KEY: VALUE'", at+1)
		case !legalValue(value):
			return nil, badUsage("--header %s has a line break or another control character in its value", key)
		}
		header.Add(key, value)
	}
	return header, nil
}

// notInName reports whether a header's or a cookie's name cannot have r (RFC 9110 §5.6.2).
func notInName(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// legalValue reports whether a header can have s as its value (RFC 9110 §5.5).
func legalValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// trusting is an HTTP client for servers whose certificate comes from file.
func trusting(file string) (*http.Client, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, badUsage("--ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, badUsage("--ca: no certificate in %s", file)
	}
	web := network()
	web.TLSClientConfig = &tls.Config{RootCAs: roots}
	return &http.Client{Transport: web}, nil
}

// network is a transport of the program's own, which the client leaves as it is: it
// looks itself, as often as the client's would, whether a connection of HTTP/2 lives.
func network() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second}
	return t
}

func (c *connection) cookies() ([]*http.Cookie, error) {
	var cookies []*http.Cookie
	for _, pair := range c.Cookie {
		parsed, err := http.ParseCookie(pair)
		if err != nil {
			return nil, badUsage("--cookie%s: %w, want NAME=VALUE", named(pair), err)
		}
		cookies = append(cookies, parsed...)
	}
	return cookies, nil
}

// named is the name of a cookie, behind a space, if it is one: all else may be a
// secret.
func named(pair string) string {
	name, _, ok := strings.Cut(pair, "=")
	if !ok || name == "" || strings.ContainsFunc(name, notInName) {
		return ""
	}
	return " " + name
}

func (c *connection) dialers() []transport.Dialer {
	switch c.Transport {
	case "websocket":
		return []transport.Dialer{wsclient.NewDialer()}
	case "long-polling":
		return []transport.Dialer{longpoll.NewDialer()}
	default:
		return []transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()}
	}
}
