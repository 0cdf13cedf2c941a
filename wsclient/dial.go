package wsclient

import (
	"context"
	"fmt"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// A dialer is the transport.Dialer for WebSockets.
type dialer struct {
	config
	err error
}

// NewDialer makes a Dialer for client.WithTransports. A wrong option makes
// client.New refuse it, and every Dial fail.
func NewDialer(opts ...Option) transport.Dialer {
	c, err := newConfig(opts)
	return &dialer{c, err}
}

// Err is what is wrong with the options, or nil.
func (d *dialer) Err() error { return d.err }

func (d *dialer) Type() string { return bayeux.WebSocket }

// Dial opens a WebSocket to t.URL, or to WithURL's. See the package comment for
// its errors.
func (d *dialer) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	if d.err != nil {
		return nil, d.err
	}
	u := d.url
	if u == nil {
		u = t.URL
	}
	scheme := httpScheme(u.Scheme)
	if scheme == "" {
		return nil, d.failed(fmt.Errorf("no WebSocket goes over %q", u.Scheme))
	}
	to := *u
	to.Scheme = scheme
	return d.dial(ctx, t, &to)
}

// httpScheme is the scheme of the upgrade request, which cookies go by.
func httpScheme(s string) string {
	switch s {
	case "http", "ws":
		return "http"
	case "https", "wss":
		return "https"
	}
	return ""
}

func (d *dialer) failed(err error) *transport.Error {
	return &transport.Error{Type: d.Type(), Op: "dial", Reason: transport.Internal, Err: err}
}

// unsupported says that this transport does not work here, and why.
func unsupported(why error) error { return fmt.Errorf("%w: %w", transport.ErrUnsupported, why) }
