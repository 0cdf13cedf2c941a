package longpoll

import (
	"context"
	"net/url"
	"strings"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// NewDialer is the client's end of long-polling. Each Dial is free and makes a
// Conn for one exchange; its Receive sends the request and waits for the
// answer. A wrong option makes client.New refuse the Dialer, and every Dial fail.
//
// Target.HTTP does the requests, so cookies, proxy and TLS are set there; its
// Timeout and CheckRedirect are not used, because a connect is held and a POST
// must stay one.
func NewDialer(opts ...DialOption) transport.Dialer {
	d := &dialer{config: dialConfig{typeInURL: true}}
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(&d.config); err != nil && d.err == nil {
			d.err = err
		}
	}
	return d
}

type dialer struct {
	config dialConfig
	err    error // of the first wrong option
}

// Err is what is wrong with the options, or nil.
func (d *dialer) Err() error { return d.err }

func (d *dialer) Type() string { return bayeux.LongPolling }

func (d *dialer) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	if d.err != nil {
		return nil, &transport.Error{Type: d.Type(), Op: "dial", Reason: transport.Internal, Err: d.err}
	}
	if err := ctx.Err(); err != nil {
		return nil, &transport.Error{Type: d.Type(), Op: "dial", Reason: transport.Internal, Err: err}
	}
	base := d.config.url
	if base == nil {
		base = t.URL
	}
	return newExchange(ctx, t, base, &d.config), nil
}

// endpoint is where a request of this kind goes.
func (c *dialConfig) endpoint(base *url.URL, k transport.Kind) *url.URL {
	path, folder := c.path(k)
	if path == "" && (!folder || !c.typeInURL || !appendable(base)) {
		return base
	}
	u := *base
	if ref, err := url.Parse(path); err == nil && path != "" {
		dir := *base
		dir.Path, dir.RawPath = withSlash(base.Path), withSlash(base.RawPath)
		u = *dir.ResolveReference(ref)
		if u.RawQuery == "" {
			u.RawQuery = base.RawQuery
		}
	}
	if folder && c.typeInURL {
		u.Path, u.RawPath = withSlash(u.Path)+k.String(), withSlash(u.RawPath)
		if u.RawPath != "" {
			u.RawPath += k.String()
		}
	}
	return &u
}

// path is the configured path for k, and whether the type belongs behind it.
func (c *dialConfig) path(k transport.Kind) (path string, folder bool) {
	switch k {
	case transport.Handshake:
		return c.paths.Handshake, true
	case transport.Connect:
		return c.paths.Connect, true
	case transport.Disconnect:
		return c.paths.Disconnect, true
	case transport.Subscribe, transport.Unsubscribe:
		return c.paths.Subscribe, false
	}
	return c.paths.Publish, false
}

// appendable says whether the type may stand behind u: not behind a query, and
// not behind what looks like a file or a version.
func appendable(u *url.URL) bool {
	last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	return u.RawQuery == "" && !strings.Contains(last, ".")
}

// withSlash makes path a folder. An empty RawPath stays empty: it says that
// Path needs no other spelling.
func withSlash(path string) string {
	if path == "" || strings.HasSuffix(path, "/") {
		return path
	}
	return path + "/"
}
