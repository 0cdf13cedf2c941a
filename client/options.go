package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// An Option configures a [Client] or a [Manual]. Options are applied in order:
// a later one wins over an earlier one of the same name, except those that say
// that they add.
type Option func(*config) error

type config struct {
	dialers      []transport.Dialer
	token        AccessToken
	tokenSource  func(context.Context) (AccessToken, error)
	tokenExt     string
	handshakeExt func(context.Context) (bayeux.Ext, error)
	header       http.Header
	cookies      []*http.Cookie
	http         *http.Client
	extensions   []Extension
	hooks        Hooks
	log          *slog.Logger
	json         codec.JSON
	limits       Limits
	timeouts     Timeouts
	backoff      [2]time.Duration
	upgrade      time.Duration
	rehandshake  bool
	publishTries int
	publishEvery time.Duration
	maxRetries   int
	forget       bool // subscriptions end with their session
}

func newConfig(opts []Option) (*config, error) {
	c := &config{
		header:  make(http.Header),
		log:     slog.New(slog.DiscardHandler),
		json:    codec.Fast,
		backoff: [2]time.Duration{time.Second, 30 * time.Second},
	}
	if err := Options(opts...)(c); err != nil {
		return nil, err
	}
	if len(c.dialers) == 0 {
		return nil, errors.New("client: no transport; see WithTransports")
	}
	c.limits.defaults()
	c.timeouts.defaults()
	return c, nil
}

// Limits bounds what a client holds and sends. A field's zero value means its
// default, a negative value no bound. A payload over MessageBytes or
// BatchMessages is refused whole, with an error that names the limit, and its
// connection ends.
type Limits struct {
	MessageBytes  int // of one received payload; default 10 MiB, which Salesforce needs
	BatchMessages int // in one received payload; default 65536: some servers answer a poll with all that they have. Each takes some hundred bytes beside its own
	SendBytes     int // of one sent payload of several messages; default 32 KiB, which every server takes
	QueueBytes    int // waiting in all subscriptions' queues together, all fields counted; default 16 MiB. What had been read of a connection that breaks comes on top, a payload or, of exchanges, two; if it is still there at the next break, the oldest messages are given up, and a Gap tells
	Pending       int // requests waiting or unanswered, and calls of PublishFunc's done that are to begin; default 65536 each
}

func (l *Limits) defaults() {
	orDefault(&l.MessageBytes, 10<<20)
	orDefault(&l.BatchMessages, 1<<16)
	orDefault(&l.SendBytes, 32<<10)
	orDefault(&l.QueueBytes, 16<<20)
	orDefault(&l.Pending, 1<<16)
}

// received bounds the payloads that are read.
func (l *Limits) received() codec.Limits {
	return codec.Limits{Bytes: l.MessageBytes, Messages: l.BatchMessages}
}

// Timeouts are how long a client waits for the network. A field's zero value
// means its default; a negative one is refused, and more than a year is a year.
//
// A transport that has a lesser one behind it gets a third of Open, its handshake
// included, so that a WebSocket that hangs leaves time for long-polling.
type Timeouts struct {
	Open           time.Duration // for a token, for a connection and its upgrade; default 10s each
	NetworkDelay   time.Duration // for a reply, and for each KiB of a large payload; a connect's may be later by the advised timeout; default 10s
	DefaultTimeout time.Duration // how long a connect is held when the server does not say; default 60s
	Close          time.Duration // for the reply to the last disconnect; default 2s
}

func (t *Timeouts) defaults() {
	orDefault(&t.Open, 10*time.Second)
	orDefault(&t.NetworkDelay, 10*time.Second)
	orDefault(&t.DefaultTimeout, time.Minute)
	orDefault(&t.Close, 2*time.Second)
	for _, d := range []*time.Duration{&t.Open, &t.NetworkDelay, &t.DefaultTimeout, &t.Close} {
		*d = min(*d, year)
	}
}

func orDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Options makes one option of several: a preset.
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

// WithTransports gives the transports in order of preference, no two of one type.
// There is no default here; cometd.Dial has WebSocket, then long-polling. A Dialer
// that was made with wrong options says so here, if it has a method Err() error.
func WithTransports(d ...transport.Dialer) Option {
	return func(c *config) error {
		seen := make(map[string]bool)
		for _, d := range d {
			if d == nil {
				return errors.New("client: transport is nil")
			}
			if e, ok := d.(interface{ Err() error }); ok && e.Err() != nil {
				return fmt.Errorf("client: transport %q: %w", d.Type(), e.Err())
			}
			if seen[d.Type()] {
				return fmt.Errorf("client: two transports of type %q", d.Type())
			}
			seen[d.Type()] = true
		}
		c.dialers = d
		return nil
	}
}

// WithAccessToken sends t's Authorization header with every request, the
// WebSocket upgrade included. For one that must be renewed see
// [WithTokenSource].
func WithAccessToken(t AccessToken) Option {
	return func(c *config) error { c.token = t; return nil }
}

// WithTokenSource asks f for a token before each handshake, and after a 401, which
// is not final then, whatever the advice. f is never called twice at once; its ctx
// ends after Timeouts.Open, and with the client.
//
// An error is a failed attempt. So is an f that still runs when its ctx has ended:
// the next attempt takes its late result and does not call it again. Close does not
// wait for it, Done does. A handshake with another token than before opens a
// connection of its own. A [Manual] calls f on the caller's goroutine.
//
// With golang.org/x/oauth2:
//
//	func(context.Context) (client.AccessToken, error) {
//		t, err := source.Token()
//		if err != nil {
//			return nil, err
//		}
//		return client.Authorization(t.Type() + " " + t.AccessToken), nil
//	}
func WithTokenSource(f func(ctx context.Context) (AccessToken, error)) Option {
	return func(c *config) error { c.tokenSource = f; return nil }
}

// WithTokenExt also sends the credential, without its scheme, in the
// handshake's ext field under the given name, for servers that look there.
func WithTokenExt(name string) Option {
	return func(c *config) error {
		if name == "" {
			return errors.New("client: name of the token's ext field is empty")
		}
		c.tokenExt = name
		return nil
	}
}

// WithHandshakeExt asks f for ext fields before each handshake; those of an
// extension with the same name win. It is called as f of [WithTokenSource] is.
func WithHandshakeExt(f func(ctx context.Context) (bayeux.Ext, error)) Option {
	return func(c *config) error { c.handshakeExt = f; return nil }
}

// WithHeader adds a header to every request, the WebSocket upgrade included.
// Values add up. Host chooses a virtual host; a browser does not send it.
func WithHeader(key, value string) Option {
	return func(c *config) error {
		if key == "" || textproto.TrimString(key) != key {
			return fmt.Errorf("client: illegal header name %q", key)
		}
		c.header.Add(key, value)
		return nil
	}
}

// WithCookies adds cookies to the client's jar, for the URL's host and, unless
// they have a Path, all paths of it. Values are sent as they are, in quotes if
// Quoted; a semicolon or control character in one is an error. They outlive the
// cookies that servers set, which the client forgets before a handshake when two
// attempts in a row have failed.
func WithCookies(cookies ...*http.Cookie) Option {
	return func(c *config) error {
		for _, cookie := range cookies {
			if cookie == nil {
				return errors.New("client: cookie is nil")
			}
			if err := checkCookie(cookie.Name, cookie.Value); err != nil {
				return err
			}
			own := *cookie
			own.Path = cmp.Or(own.Path, "/")
			c.cookies = append(c.cookies, &own)
		}
		return nil
	}
}

// WithHTTPClient brings proxy, TLS and transport. It is copied. Without a Jar in
// it the client uses one of its own, never shared with another client, because
// servers count clients by their cookies (docs/protocol.md §11); it returns
// cookies byte for byte, which net/http/cookiejar does not (§17). Its Timeout is
// ignored, because it would cut what the server holds; see [Timeouts]. So is its
// CheckRedirect: no redirect is followed, its Location is in the error, because
// what a client posts holds secrets.
//
// A Transport that may speak HTTP/2 should set HTTP2.SendPingTimeout, which is 15
// seconds in the client's own: else a connection on whose way everything vanishes is
// used until the kernel gives it up.
func WithHTTPClient(h *http.Client) Option {
	return func(c *config) error { c.http = h; return nil }
}

// WithExtension adds extensions. Outgoing messages pass them in reverse order,
// incoming ones in the order of registration. A pattern that no channel can
// match, such as /a/*/b, is an error.
func WithExtension(e ...Extension) Option {
	return func(c *config) error {
		for _, e := range e {
			if err := e.parse(); err != nil {
				return fmt.Errorf("client: extension %q: %w", e.Name, err)
			}
			c.extensions = append(c.extensions, e)
		}
		return nil
	}
}

// WithHooks sets functions that count and measure.
func WithHooks(h Hooks) Option {
	return func(c *config) error { c.hooks = h; return nil }
}

// WithLogger logs to l: changes of state at Info, what an operator can mend at
// Warn, a fault of the client's own at Error. The default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		c.log = l
		return nil
	}
}

// WithJSON encodes data to publish and decodes typed data with j. The default
// is codec.Fast.
func WithJSON(j codec.JSON) Option {
	return func(c *config) error {
		if j == nil {
			return errors.New("client: JSON is nil")
		}
		c.json = j
		return nil
	}
}

// WithLimits sets bounds; see [Limits] for the defaults.
func WithLimits(l Limits) Option {
	return func(c *config) error { c.limits = l; return nil }
}

// WithTimeouts sets patience; see [Timeouts] for the defaults.
func WithTimeouts(t Timeouts) Option {
	return func(c *config) error {
		if d := min(t.Open, t.NetworkDelay, t.DefaultTimeout, t.Close); d < 0 {
			return fmt.Errorf("client: timeout is negative: %v", d)
		}
		c.timeouts = t
		return nil
	}
}

// WithBackoff sets the first and the longest pause between attempts. The defaults
// are 1 and 30 seconds, which make at most 126 attempts in an hour.
// A server that asks for more, by advice or the header Retry-After, gets it, an hour at
// most; Nudge ends a pause.
//
//   - Each failure doubles the pause, up to max.
//   - A pause is drawn evenly from half to one and a half of that; max, where it is
//     made again and again, from itself to a hundredth more.
//   - The time for which a connection has worked counts as paused; the shortest pause is
//     made all the same.
//   - After one that has worked for max, or for 30 seconds if that is less, pauses
//     begin at min again.
//   - If a connection breaks in the interval that the server has advised, or just
//     after it, the first attempt is at the end of that interval.
func WithBackoff(min, max time.Duration) Option {
	return func(c *config) error {
		if min <= 0 || max < min {
			return fmt.Errorf("client: backoff wants 0 < min <= max, got %v and %v", min, max)
		}
		c.backoff = [2]time.Duration{min, max}
		return nil
	}
}

// WithUpgradeAfter tries a preferred transport again after d on a lesser one,
// without giving up the session; a transport that has failed is left in peace
// for 5 minutes all the same. Zero is the default, a minute; a negative d never tries
// while a session goes on.
func WithUpgradeAfter(d time.Duration) Option {
	return func(c *config) error { c.upgrade = d; return nil }
}

// WithRehandshakeOnNone takes the advice "none" as "handshake", with backoff.
// Without it that advice is final. Some servers say none when they mean that a
// token has expired (docs/protocol.md §17).
func WithRehandshakeOnNone() Option {
	return func(c *config) error { c.rehandshake = true; return nil }
}

// WithPublishRetry sends a publish again whose connection broke before the
// reply, up to attempts times in all and at least every apart, with the same
// message id. Unless the server knows ids, it may take such a message twice. Later
// publishes wait meanwhile, so that theirs is the order in which they were made.
// The default is one attempt, which may be lost: [ErrLost].
func WithPublishRetry(attempts int, every time.Duration) Option {
	return func(c *config) error {
		if attempts < 1 || every < 0 {
			return fmt.Errorf("client: publish retry wants 1 attempt or more and no negative pause, got %d every %v", attempts, every)
		}
		c.publishTries, c.publishEvery = attempts, every
		return nil
	}
}

// WithMaxRetries makes a client give up: after one failed attempt to connect and
// n failed retries in a row it ends, and its Err is the last failure. The
// default, zero, never gives up.
//
// It also makes a refusal final. A handshake or connect that the server refuses
// ends the client at once, unless
//
//   - the refusal advises retry or handshake;
//   - the session is unknown and the advice is not none: a new session mends it;
//   - it is a 401 and there is a [WithTokenSource]: a new token mends it.
//
// Failures of the network and HTTP statuses are no refusals: they are retried.
// By default a refusal without advice is retried, too.
//
// A subscribe is retried n times as well, if its refusal advises retry or
// handshake, and then fails with it. Where the client repeats a subscribe in a
// new session by itself, a code of 500 or more needs no such advice.
func WithMaxRetries(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return fmt.Errorf("client: max retries %d", n)
		}
		c.maxRetries = n
		return nil
	}
}

// WithoutResubscribe ends all subscriptions, with [ErrLost], when their
// session is lost, instead of subscribing again in the next one.
func WithoutResubscribe() Option {
	return func(c *config) error { c.forget = true; return nil }
}
