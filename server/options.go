package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// An Option configures a [Server]. The zero set of options, with transports,
// is a working server; an option given later wins over an earlier one.
type Option func(*config) error

type config struct {
	acceptors  []transport.Acceptor
	policy     Policy
	extensions []Extension
	hooks      Hooks
	log        *slog.Logger
	json       codec.JSON
	limits     Limits
	timing     Timing
	timings    map[string]Timing // by connection type
	origins    []string
	cookie     http.Cookie
	headers    []string
	channels   []channelRule
	node       string
	newID      func() string
	newBrowser func() string // nil: the transport's own
	history    *History
	flushDelay time.Duration
	spread     time.Duration
	hosts      []string // of other servers

	trustIDs          bool
	handshakePerConn  bool
	strictHandshake   bool
	simpleClients     bool
	connectOnly       map[string]bool // by connection type; "" is all
	handshakeDelivery bool
	adviseMaxInterval bool
	noEcho            bool
	countLoopback     bool // towards Limits.ConnsPerAddr
	loopbackSessions  bool // towards Limits.SessionsPerAddr
	loopbackChannels  bool // towards Limits.ChannelsPerAddr

	handshakes *rate.Limiter
	accept     transport.Accept
}

type channelRule struct {
	pattern string
	options ChannelOptions
}

func newConfig(opts []Option) (config, error) {
	c := config{log: slog.New(slog.DiscardHandler), json: codec.Fast, newID: newSessionID, spread: 5 * time.Second}
	c.connectOnly = map[string]bool{}
	c.timings = map[string]Timing{}
	if err := Options(opts...)(&c); err != nil {
		return c, err
	}
	c.countLoopback = c.limits.ConnsPerAddr != 0
	c.loopbackSessions = c.limits.SessionsPerAddr != 0
	c.loopbackChannels = c.limits.ChannelsPerAddr != 0
	c.limits = c.limits.withDefaults()
	c.timing = c.timing.orElse(defaultTiming)
	if r := c.limits.HandshakeRate; r > 0 {
		c.handshakes = rate.NewLimiter(rate.Limit(r), max(1, int(r)))
	}
	c.accept = transport.Accept{
		Limit: c.limits.MessageBytes, Body: c.limits.Body, Stall: c.limits.Write,
		Cookie: &c.cookie, NewBrowser: c.newBrowser, Headers: slices.Concat(c.headers, keptHeaders), HeaderBytes: c.limits.HeaderBytes,
	}
	return c, nil
}

// Options makes one option of several, for a preset. A nil one is none.
func Options(opts ...Option) Option {
	return func(c *config) error {
		for _, o := range opts {
			if o == nil {
				continue
			}
			if err := o(c); err != nil {
				return err
			}
		}
		return nil
	}
}

// WithTransports sets the HTTP transports, replacing earlier ones. The handshake
// reply lists exactly these types, in this order; a type served only through
// [Server.ServeConn] is not listed. With none, clients can connect only through
// ServeConn or cometd.Local. cometd.NewServer gives WebSocket and long-polling.
func WithTransports(a ...transport.Acceptor) Option {
	return func(c *config) error {
		seen := map[string]bool{}
		for _, t := range a {
			if t == nil {
				return errors.New("server: transport is nil")
			}
			if seen[t.Type()] {
				return fmt.Errorf("server: transport given twice: %s", t.Type())
			}
			if x, ok := t.(interface{ Err() error }); ok && x.Err() != nil {
				return x.Err()
			}
			seen[t.Type()] = true
		}
		c.acceptors = a
		return nil
	}
}

// WithPolicy sets who may handshake, create, subscribe and publish. The
// default lets everybody do everything but touch meta channels.
func WithPolicy(p Policy) Option {
	return func(c *config) error { c.policy = p; return nil }
}

// WithExtension adds extensions to those given before; the default is none.
// Incoming ones run in this order, outgoing ones in reverse.
func WithExtension(e ...Extension) Option {
	return func(c *config) error {
		for _, x := range e {
			x, err := x.parsed()
			if err != nil {
				return fmt.Errorf("server: extension %q: %w", x.Name, err)
			}
			c.extensions = append(c.extensions, x)
		}
		return nil
	}
}

// WithHooks sets the functions that are told what happens, for metrics. It
// replaces those given before; the default tells nobody.
func WithHooks(h Hooks) Option {
	return func(c *config) error { c.hooks = h; return nil }
}

// WithLogger sets the log: limits and refusals that an operator wants to know of
// at Warn, panics and failures of the application's code at Error, and of each
// kind one line a minute at most, with how often ("times"); at Debug sessions that
// come and go, and whatever else peers do. The default, and nil, is silence.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		c.log = l
		return nil
	}
}

// WithJSON sets the codec of the application's data, wherever the server
// encodes or decodes it: what is published, sent and answered, [Typed] and
// [Publication.Decode]. A message knows no server, so [bayeux.Message.Decode] is
// encoding/json's. The default is [codec.Fast].
func WithJSON(j codec.JSON) Option {
	return func(c *config) error {
		if j == nil {
			return errors.New("server: JSON codec is nil")
		}
		c.json = j
		return nil
	}
}

// WithLimits sets the bounds; fields left zero keep their defaults.
func WithLimits(l Limits) Option {
	return func(c *config) error { c.limits = l; return nil }
}

// WithTiming sets the timing of all sessions; fields left zero keep their
// defaults.
func WithTiming(t Timing) Option {
	return func(c *config) error { c.timing = t; return t.check() }
}

// WithTransportTiming sets the timing of sessions while they use one
// connection type, such as bayeux.LongPolling; fields left zero are those of
// [WithTiming]. It fails if Sweep is set, which is the whole server's. A type
// that no transport has is no error: what [Server.ServeConn] is given may have
// any.
func WithTransportTiming(connectionType string, t Timing) Option {
	return func(c *config) error {
		if t.Sweep != 0 {
			return fmt.Errorf("server: timing of %s: Sweep is the whole server's", connectionType)
		}
		c.timings[connectionType] = t
		return nil
	}
}

// WithOrigins sets which web pages of other origins may use this server, on
// WebSocket and HTTP alike: "https://example.com", with a leading "*." for any
// subdomain ("https://*.example.com"), or "*" for everybody. Pages of these
// origins may send cookies. The default is none: only pages that come from the
// host they connect to, and clients that are not browsers (they send no
// Origin). On a connection by TLS such a page must be an https one; on one
// without, where a proxy may have ended the TLS, http and https are the same.
func WithOrigins(patterns ...string) Option {
	return func(c *config) error { c.origins = patterns; return checkOrigins(patterns) }
}

// WithCookie sets the name and attributes of the cookie that ties a session to
// its browser. The default is BAYEUX_BROWSER with Path=/ and HttpOnly, and Secure
// over TLS. Set Secure where a proxy ends the TLS; over plain HTTP browsers then
// refuse the cookie, but for localhost. The default says no SameSite, which most
// browsers take for Lax: pages of another site, which [WithOrigins] lets in, do
// not send the cookie then, and cannot use long-polling. They need
// SameSite: http.SameSiteNoneMode with Secure. Value is not used. See
// docs/protocol.md §11.
func WithCookie(cookie http.Cookie) Option {
	return func(c *config) error {
		if cookie.Name != "" && cookie.Valid() != nil {
			return fmt.Errorf("server: cookie: %w", cookie.Valid())
		}
		c.cookie = cookie
		return nil
	}
}

// WithTrustedSessionIDs accepts a session's id over HTTP without its cookie.
// Whoever learns an id may then act as that session. The default asks for the
// cookie of the handshake (docs/protocol.md §11).
func WithTrustedSessionIDs() Option {
	return func(c *config) error { c.trustIDs = true; return nil }
}

// WithHandshakePerConnection refuses a session on any socket but the one of
// its handshake. A client that lost its socket must then handshake again, so
// the grace of a WebSocket session is of no use to it. The default lets a
// session go on over any socket that knows its id, and the cookie once its client
// has shown that (docs/protocol.md §8).
func WithHandshakePerConnection() Option {
	return func(c *config) error { c.handshakePerConn = true; return nil }
}

// WithStrictHandshake refuses handshakes without a version, with one that is not 1.0
// (a newer one passes whose minimumVersion is not), and those that share no
// connection type with the server, as the specification asks. The default accepts
// them, as the reference does (docs/protocol.md §3.1).
func WithStrictHandshake() Option {
	return func(c *config) error { c.strictHandshake = true; return nil }
}

// WithSimpleClients serves clients that understand only the simplest
// exchanges: over polling transports events leave with connect replies only,
// and every refusal for an unknown session carries the advice to handshake.
// The Rust crate cometd-client and gobayeux need it (docs/protocol.md §19).
// The default lets what a request brings its own session leave with the reply,
// and gives that advice on handshake and connect replies alone, as the reference
// does.
func WithSimpleClients() Option {
	return func(c *config) error {
		c.simpleClients = true
		return nil
	}
}

// WithConnectOnly delivers events only together with connect replies, for all
// sessions that use one of these connection types, or for all sessions if none
// is named; several such options add up. The default does that for callback-polling only: a WebSocket gets
// events at once, and a long-polling client what its own request has brought it
// before the reply to that. A network that keeps such a reply for more than a
// tenth of a second may have it overtaken by the events of a connect; with this
// option nothing can be. [Outbox.OnConnectOnly] does it for one session.
func WithConnectOnly(connectionTypes ...string) Option {
	return func(c *config) error {
		if len(connectionTypes) == 0 {
			connectionTypes = []string{""}
		}
		for _, t := range connectionTypes {
			c.connectOnly[t] = true
		}
		return nil
	}
}

// WithHandshakeDelivery lets messages that were queued for a session while it
// shook hands leave with the handshake reply, which counts them in
// "x-messages". Over polling all of them go into that one answer, whatever
// Limits.FrameBytes says; Limits.SessionBytes bounds them. The default keeps
// them for the first connect (docs/protocol.md §3.1).
func WithHandshakeDelivery() Option {
	return func(c *config) error { c.handshakeDelivery = true; return nil }
}

// WithMaxIntervalAdvice tells clients how long their session outlives a lost
// connection ("maxInterval"), so that they handshake at once after a longer
// break. The default does not: they try to connect, and are told that the
// session is unknown (docs/protocol.md §5).
func WithMaxIntervalAdvice() Option {
	return func(c *config) error { c.adviseMaxInterval = true; return nil }
}

// WithChannel sets the options of all channels that match pattern; where
// several match, the most specific one given last counts.
func WithChannel(pattern string, o ChannelOptions) Option {
	return func(c *config) error {
		p, err := parsePattern(pattern)
		if err != nil {
			return fmt.Errorf("server: channel options: %w", err)
		}
		c.channels = append(c.channels, channelRule{string(p), o})
		return nil
	}
}

// WithoutEcho keeps from all publishers their own messages. The default gives
// them to those who are subscribed (docs/protocol.md §3.4).
func WithoutEcho() Option {
	return func(c *config) error { c.noEcho = true; return nil }
}

// WithFlushDelay makes a stream wait this long for more messages before it
// writes. It saves CPU where one session gets more than 1/d messages a second,
// and costs that much latency everywhere, and a goroutine for each stream that
// waits, where one otherwise writes for many. The default is 0: what is there
// leaves at once.
func WithFlushDelay(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("server: flush delay is negative: %v", d)
		}
		c.flushDelay = d
		return nil
	}
}

// WithHeaders names further request headers to keep for [Session.Peer] and
// [PeerOf]. User-Agent, Origin, Cookie, Authorization, Accept-Language,
// Forwarded and X-Forwarded-* are kept without being named. Limits.HeaderBytes
// bounds all of them; those named here come first.
func WithHeaders(names ...string) Option {
	return func(c *config) error {
		for _, n := range names {
			c.headers = append(c.headers, http.CanonicalHeaderKey(n))
		}
		return nil
	}
}

// keptHeaders are kept without being asked for, while there is room in this
// order.
var keptHeaders = []string{
	"Authorization", "Origin", "Forwarded",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"Cookie", "User-Agent", "Accept-Language",
}

// WithNode puts the name of this node before session ids, so that a cluster can
// find the owner of a session. Letters and digits only, at least one. The default
// puts none.
func WithNode(id string) Option {
	return func(c *config) error {
		if !alphanumeric(id) {
			return fmt.Errorf("server: node is not letters and digits: %q", id)
		}
		c.node = id
		return nil
	}
}

// WithSessionIDs sets how session ids are made. They must be unique, and
// unguessable: whoever knows an id and the cookie is the session. The default
// has 160 random bits. [TimeID] makes the ids of axum-cometd.
func WithSessionIDs(next func() string) Option {
	return func(c *config) error {
		if next == nil {
			return errors.New("server: session ids: function is nil")
		}
		c.newID = next
		return nil
	}
}

// WithBrowserIDs sets how the values of the BAYEUX_BROWSER cookie are made, for
// clients that bring none. They must be unique and unguessable, and safe in a
// cookie. The default has 130 random bits. [TimeID] makes those of axum-cometd.
func WithBrowserIDs(next func() string) Option {
	return func(c *config) error {
		if next == nil {
			return errors.New("server: browser ids: function is nil")
		}
		c.newBrowser = next
		return nil
	}
}

// WithShutdownSpread sets over how long [Server.Shutdown] tells clients to
// spread their return at most; fewer clients are spread over 300 µs each.
// The default is 5 seconds; zero or less tells all to come back at once.
func WithShutdownSpread(d time.Duration) Option {
	return func(c *config) error { c.spread = d; return nil }
}

// WithShutdownHosts names other servers in the advice of [Server.Shutdown], as
// URLs or host:port, for clients that follow "hosts" (docs/protocol.md §5; the
// clients of the reference do not, nor does package client). A client gets them
// with its last messages. The default is none: come back here.
func WithShutdownHosts(hosts ...string) Option {
	return func(c *config) error {
		if slices.Contains(hosts, "") {
			return errors.New("server: shutdown hosts: a host is empty")
		}
		c.hosts = slices.Clone(hosts)
		return nil
	}
}
