//go:build !js

package wsserver

import (
	"errors"
	"fmt"
	"time"

	"github.com/gocometd/cometd/internal/wire"
)

// An Option configures an Acceptor. The zero set of options is a working one.
type Option func(*config) error

type config struct {
	subprotocols []string
	deflate      int
	every        time.Duration
	wait         time.Duration
	sendBuffer   int
}

const defaultSendBuffer = 256 << 10

func newConfig(opts []Option) (config, error) {
	c := config{sendBuffer: defaultSendBuffer}
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

// WithSubprotocols names the subprotocols that are spoken here, in order of
// preference; a name is a token (RFC 9110 §5.6.2). A client that offers others
// gets none, and a browser then gives up. The default is none (docs/protocol.md
// §8).
func WithSubprotocols(names ...string) Option {
	return func(c *config) error {
		for _, n := range names {
			if !wire.IsToken(n) {
				return fmt.Errorf("wsserver: subprotocol is not a token: %q", n)
			}
		}
		c.subprotocols = names
		return nil
	}
}

// WithCompression agrees to permessage-deflate with clients that offer it, and
// compresses payloads of threshold bytes, at least 1, and more. Each payload is compressed
// on its own, so an idle socket holds no window. The default is no compression:
// it costs far more CPU than everything else here together.
func WithCompression(threshold int) Option {
	return func(c *config) error {
		if threshold <= 0 {
			return fmt.Errorf("wsserver: compression threshold is not positive: %d", threshold)
		}
		c.deflate = threshold
		return nil
	}
}

// WithPing pings a socket from which nothing came for every, and cuts it if
// nothing comes for wait after that. A socket whose session is not reading,
// because a handler is slow, is not judged, nor one whose peer still takes what
// was to be sent before the ping: that is for the stall limit. Zero for every,
// the default, turns it off: the cycle of /meta/connect is a heartbeat already,
// which ends a session without one, its socket included, and costs no timer per
// socket (docs/protocol.md §8). Turn it on where a proxy cuts connections that
// are quiet for less than the server's timeout.
func WithPing(every, wait time.Duration) Option {
	return func(c *config) error {
		if every < 0 || every > 0 && wait <= 0 {
			return fmt.Errorf("wsserver: ping wants every >= 0 and wait > 0, got %v and %v", every, wait)
		}
		c.every, c.wait = every, wait
		return nil
	}
}

// WithSendBuffer bounds what the kernel holds for a peer that does not read, in
// bytes, on plain TCP and TLS alike; the kernel rounds it. The default is
// 256 KiB; a smaller one finds slow peers sooner, a larger one is faster over
// long fat networks. Negative leaves it to the kernel, which goes up to
// megabytes; 0 is refused.
func WithSendBuffer(n int) Option {
	return func(c *config) error {
		if n == 0 {
			return errors.New("wsserver: send buffer is 0; negative leaves it to the kernel")
		}
		c.sendBuffer = n
		return nil
	}
}
