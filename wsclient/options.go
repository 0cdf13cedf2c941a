package wsclient

import (
	"fmt"
	"net/url"
	"time"

	"github.com/gocometd/cometd/internal/wire"
)

// An Option configures a Dialer. The zero set of options is a working one.
type Option func(*config) error

type config struct {
	url         *url.URL
	subprotocol string
	deflate     int
	every, wait time.Duration
	open        time.Duration
}

func newConfig(opts []Option) (config, error) {
	c := config{every: 25 * time.Second, wait: 10 * time.Second, open: 10 * time.Second}
	for _, o := range opts {
		if o == nil {
			continue
		}
		if err := o(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// WithURL dials this URL, ws, wss, http or https, in place of the client's.
func WithURL(rawURL string) Option {
	return func(c *config) error {
		u, err := url.Parse(rawURL)
		if err != nil {
			return fmt.Errorf("wsclient: %w", err)
		}
		if httpScheme(u.Scheme) == "" || u.Host == "" {
			return fmt.Errorf("wsclient: not a ws, wss, http or https URL: %q", rawURL)
		}
		c.url = u
		return nil
	}
}

// WithSubprotocol offers one subprotocol, whose name is a token (RFC 9110
// §5.6.2). A server that is not configured for it opens the socket without;
// browsers then give up, and so does Dial. The default is none
// (docs/protocol.md §8).
func WithSubprotocol(name string) Option {
	return func(c *config) error {
		if !wire.IsToken(name) {
			return fmt.Errorf("wsclient: subprotocol is not a token: %q", name)
		}
		c.subprotocol = name
		return nil
	}
}

// WithCompression offers permessage-deflate, and if the server agrees
// compresses payloads of threshold bytes, at least 1, and more, each on its own. What the
// server compresses is read in any case. The default is no compression. In a
// browser it does nothing: the browser decides.
func WithCompression(threshold int) Option {
	return func(c *config) error {
		if threshold <= 0 {
			return fmt.Errorf("wsclient: compression threshold is not positive: %d", threshold)
		}
		c.deflate = threshold
		return nil
	}
}

// WithPing pings a server from which nothing came for every, and gives the
// socket up if nothing comes for wait after that: a half-open connection, such
// as after sleep or a change of network, is found then. The defaults are 25 and
// 10 seconds; zero for every turns it off. A client that has paused reading
// does not judge its server, nor one that still takes what was to be sent before
// the ping. In a browser it does nothing.
func WithPing(every, wait time.Duration) Option {
	return func(c *config) error {
		if every < 0 || every > 0 && wait <= 0 {
			return fmt.Errorf("wsclient: ping wants every >= 0 and wait > 0, got %v and %v", every, wait)
		}
		c.every, c.wait = every, wait
		return nil
	}
}

// WithOpenTimeout bounds the time from Dial to the 101: name lookup, connect,
// TLS and proxy included. The default is 10 seconds.
func WithOpenTimeout(d time.Duration) Option {
	return func(c *config) error {
		if d <= 0 {
			return fmt.Errorf("wsclient: open timeout is not positive: %v", d)
		}
		c.open = d
		return nil
	}
}
