package longpoll

import (
	"errors"
	"fmt"
	"net/url"
)

// A DialOption configures [NewDialer].
type DialOption func(*dialConfig) error

type dialConfig struct {
	url       *url.URL // nil: the target's
	typeInURL bool
	paths     Paths
}

// WithURL sends requests to another URL than the target's, which must be http
// or https.
func WithURL(raw string) DialOption {
	return func(c *dialConfig) error {
		u, err := url.Parse(raw)
		if err != nil {
			return fmt.Errorf("longpoll: URL: %w", err)
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("longpoll: URL is neither http nor https: %q", raw)
		}
		c.url = u
		return nil
	}
}

// WithTypeInURL says whether the last segment of the URL names what a request
// is for: "handshake", "connect" or "disconnect" (docs/protocol.md §7). Servers
// give it no meaning; logs and load balancers do. The default is true, and no
// effect if the URL has a query or a dot in its last segment.
func WithTypeInURL(on bool) DialOption {
	return func(c *dialConfig) error {
		c.typeInURL = on
		return nil
	}
}

// Paths gives kinds of requests paths of their own, for servers that need it
// (docs/protocol.md §19). A path is relative to the URL, which counts as a
// folder; one that begins with a slash replaces the URL's path. Empty: the URL.
//
// Handshake, Connect and Disconnect are folders to which the type is appended:
// "hand/" sends handshakes to hand/handshake. Subscribe (also for unsubscribe)
// and Publish (also for batches) are complete: with "connect", publishes go
// where connects go, as axum-cometd wants it.
type Paths struct {
	Handshake, Connect, Subscribe, Publish, Disconnect string
}

// WithPaths sends kinds of requests to paths of their own.
func WithPaths(p Paths) DialOption {
	return func(c *dialConfig) error {
		for _, path := range []string{p.Handshake, p.Connect, p.Subscribe, p.Publish, p.Disconnect} {
			if _, err := url.Parse(path); err != nil {
				return fmt.Errorf("longpoll: path: %w", err)
			}
		}
		c.paths = p
		return nil
	}
}

// An AcceptOption configures [NewAcceptor] and [NewCallbackAcceptor].
type AcceptOption func(*acceptConfig) error

type acceptConfig struct {
	replaced  int
	form      bool
	gzipFrom  int // bytes; negative: never
	parameter string
	nameLen   int
}

// WithReplacedStatus is the HTTP status of a held connect that a newer one
// replaces, from 400 to 599. The default is 500, as the reference has it
// (docs/protocol.md §9).
func WithReplacedStatus(status int) AcceptOption {
	return func(c *acceptConfig) error {
		if status < 400 || status > 599 {
			return fmt.Errorf("longpoll: replaced status is not between 400 and 599: %d", status)
		}
		c.replaced = status
		return nil
	}
}

// WithForm also takes bodies of type application/x-www-form-urlencoded with one
// or more fields "message", as old clients send them (docs/protocol.md §9). A
// browser sends such a form to any site without asking, so this belongs behind
// an Origin check. Off by default; a body that is JSON is always taken,
// whatever its type.
func WithForm(on bool) AcceptOption {
	return func(c *acceptConfig) error {
		c.form = on
		return nil
	}
}

// WithGzip compresses answers of at least this many bytes for clients that
// accept gzip. The default is 16384; negative: never; 0 is refused.
func WithGzip(bytes int) AcceptOption {
	return func(c *acceptConfig) error {
		if bytes == 0 {
			return errors.New("longpoll: gzip threshold is 0; negative is never")
		}
		c.gzipFrom = bytes
		return nil
	}
}

// WithCallback sets the query parameter with the callback's name and how many
// characters that name may have, at least one. The defaults are "jsonp" and 64;
// "message" is taken (docs/protocol.md §10).
func WithCallback(parameter string, maxLen int) AcceptOption {
	return func(c *acceptConfig) error {
		if parameter == "" || parameter == "message" {
			return fmt.Errorf("longpoll: callback parameter cannot be %q", parameter)
		}
		if maxLen <= 0 {
			return fmt.Errorf("longpoll: callback length is not positive: %d", maxLen)
		}
		c.parameter, c.nameLen = parameter, maxLen
		return nil
	}
}
