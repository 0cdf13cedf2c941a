package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
)

// Policy says who may do what. A nil function is the default. A function
// grants by returning nil and refuses with an error: a [*bayeux.Error] reaches
// the client as it is, with its advice and ext (but a handshake that is refused
// never says retry); [Deny] gives a reason; any other error is told to the log
// and refuses without one.
//
// The functions may take their time: only the session whose message they judge
// waits, and others are judged at once. ctx has the values of the HTTP request,
// [PeerOf] its peer, and is done with the session. See docs/protocol.md §15 for the
// order of checks.
type Policy struct {
	// Handshake decides about a new session. s has its id already, but is not
	// reachable before Handshake returned nil. The default grants.
	Handshake func(ctx context.Context, s *Session, m *bayeux.Message) error

	// Create decides whether a subscribe or publish may make a channel that
	// does not exist. The default grants all but meta channels.
	Create func(ctx context.Context, s *Session, ch string, m *bayeux.Message) error

	// Subscribe decides about one channel or pattern of a subscribe. If it
	// keeps a channel from somebody, it must keep from them the patterns that
	// are wider, /** above all; [bayeux.Channel.Covers] compares. The default
	// grants all but meta channels, which are never granted.
	Subscribe func(ctx context.Context, s *Session, ch string, m *bayeux.Message) error

	// Publish decides about a message on a broadcast or service channel. The
	// default grants.
	Publish func(ctx context.Context, s *Session, p *Publication) error
}

// Deny refuses with a reason for the client: 403:reason:subscribe_denied, or
// handshake_denied, publish_denied, create_denied (at a subscribe) or
// channel_create_denied (at a publish), whichever it judged. Colons and commas, which
// the wire has between the parts of an error, become semicolons.
func Deny(reason string) error {
	return &bayeux.Error{Code: 403, Args: []string{argument.Replace(reason)}}
}

var argument = strings.NewReplacer(":", ";", ",", ";")

// A Publication is a message that Policy.Publish judges. Its parts are made
// only when asked for, so a policy that looks at the channel alone costs
// nothing. It is good until the function returns.
type Publication struct {
	srv     *Server
	channel string
	data    codec.Raw
	view    *codec.View
	message *bayeux.Message
}

// Channel returns the channel published on.
func (p *Publication) Channel() string { return p.channel }

// Decode stores the data in v with the codec of [WithJSON]. Without data it
// returns bayeux.ErrNoData, as [bayeux.Message.Decode] does.
func (p *Publication) Decode(v any) error {
	if p.data.IsZero() {
		return bayeux.ErrNoData
	}
	return p.data.DecodeWith(p.srv.json, v)
}

// Message returns the whole message, which is the caller's to keep.
func (p *Publication) Message() *bayeux.Message {
	if p.message == nil {
		p.message = p.view.Detach()
	}
	return p.message.Clone()
}

// Op is what an [Authorizer] is asked about.
type Op int8

const (
	// OpCreate makes a channel.
	OpCreate Op = iota
	// OpSubscribe subscribes to a channel or pattern.
	OpSubscribe
	// OpPublish publishes on a channel.
	OpPublish
)

// String returns "create", "subscribe" or "publish".
func (o Op) String() string {
	switch o {
	case OpCreate:
		return "create"
	case OpSubscribe:
		return "subscribe"
	default:
		return "publish"
	}
}

// Decision is an [Authorizer]'s answer.
type Decision int8

const (
	// Ignore leaves it to others. If all ignore, the operation is refused.
	Ignore Decision = iota
	// Grant allows it unless another refuses.
	Grant
	// Refuse forbids it, whatever others say.
	Refuse
)

// An Authorizer judges one operation on a channel or, unless it is a publish, a
// pattern, and says why if it refuses; "" is denied_by_security_policy. It may
// take its time, as the functions of a [Policy], and many goroutines call it.
type Authorizer func(ctx context.Context, s *Session, op Op, ch string) (d Decision, reason string)

// Authorize adds an authorizer for all channels and patterns that pattern
// covers ([bayeux.Channel.Covers]), and returns what removes it. On a channel
// with authorizers an operation needs at least one Grant and no Refuse; on one
// without, the [Policy] alone decides (docs/protocol.md §15).
//
// A subscription that is wider than pattern is not its business, and gets the
// messages of its channels all the same: /** goes past an authorizer on /a/*,
// and /a/* past one on /a/b. An authorizer on /** or Policy.Subscribe refuses
// such subscriptions; /a/** leaves no room for any but /**.
//
// Authorize panics if pattern is illegal or a template, or f is nil.
func (srv *Server) Authorize(pattern string, f Authorizer) (remove func()) {
	p := mustPattern(pattern)
	mustFunc(f != nil, "authorizer")
	return attach(&srv.channels, &srv.channels.rules.authorizers, &rule[Authorizer]{match: p.Covers, at: string(p), f: f})
}

// authorize asks all authorizers of a route, which has some.
func (r *route) authorize(ctx context.Context, s *Session, op Op, ch string) error {
	granted := false
	for _, a := range r.authorizers {
		switch d, reason := a.f(ctx, s, op, ch); d {
		case Refuse:
			return Deny(cmp.Or(reason, byPolicy))
		case Grant:
			granted = true
		}
	}
	if !granted {
		return Deny("denied_by_not_granting")
	}
	return nil
}

const byPolicy = "denied_by_security_policy"

// refusal makes the error of a failed reply from what user code returned about
// a message on ch, or a subscription to it. what names the operation where the
// error does not. It is a copy: the error may be one that user code keeps.
func (t *turn) refusal(err error, ch string, code int, what string) *bayeux.Error {
	e, ok := errors.AsType[*bayeux.Error](err)
	if !ok {
		t.srv.logRefusal(err, t.session, ch, what)
		return &bayeux.Error{Code: code, Message: what}
	}
	own := *e
	own.Message = cmp.Or(e.Message, what)
	return &own
}

// logRefusal tells the log why, which the client does not learn: once, and then
// once a minute for each kind. All are there at debug level.
func (srv *Server) logRefusal(err error, session *Session, ch, what string) {
	says := func() line {
		return line{slog.LevelWarn, "refused", []slog.Attr{
			slog.String("what", what), slog.Any("session", session), slog.String("channel", ch), slog.Any("err", err),
		}}
	}
	news := srv.stats.count(&srv.stats.refused, what, says)
	if news == 0 && !srv.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	l := says()
	if news == 0 {
		l.level = slog.LevelDebug
	}
	l.tell(srv.log, max(news, 1))
}

// mustPattern panics where parsePattern fails: it is a mistake of the program.
func mustPattern(pattern string) bayeux.Channel {
	p, err := parsePattern(pattern)
	if err != nil {
		panic(fmt.Sprintf("server: %v", err))
	}
	return p
}

// mustFunc panics if the application gives no function: each message would, and
// any peer could fill the log with that.
func mustFunc(given bool, what string) {
	if !given {
		panic("server: " + what + " is nil")
	}
}

// parsePattern returns pattern in the form that matches, without spaces around
// it or a slash at its end. It refuses templates: taken as a channel, one would
// match nothing, and nobody would notice.
func parsePattern(pattern string) (bayeux.Channel, error) {
	if strings.Contains(pattern, "{") {
		return "", fmt.Errorf("a template is no pattern: %q", pattern)
	}
	return bayeux.ParsePattern(pattern)
}
