package client

import (
	"context"
	"fmt"
	"slices"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
)

// An Extension sees and changes messages on their way; nil fields are skipped
// and cost nothing. Its functions run on the client's own goroutines, never
// under a lock, and must not block. Outgoing may run at the same time as
// Incoming, and over long-polling twice at once; Incoming sees one message after
// the other. A message belongs to the extension until the function returns:
// changes reach the wire, or the subscribers.
//
// To have a refused subscribe sent again, after a pause, Incoming gives the
// reply the advice to retry.
type Extension struct {
	// Name stands in the errors of the messages that the extension deletes.
	Name string

	// Channels are the patterns of the messages to see; none means all. /** is
	// every broadcast, service and meta channel.
	Channels []string

	// Requests are the patterns of the messages that Outgoing sees, if they are
	// others than Channels. Publishes that no extension sees cost less.
	Requests []string

	// Opened is called once, before the first handshake. A [Manual] is no
	// Client and refuses an extension with this or Done.
	Opened func(c *Client)

	// Session is called with the id of each new session, after its handshake
	// reply has passed Incoming. State kept for the old session is void, and not
	// before: a session that is made while the connection of another one is broken
	// may come to nothing, and the next connect has the clientId of the old one.
	Session func(id string)

	// Outgoing sees each request with its id and clientId; ctx has the values
	// of the call that made it. A message that is sent again passes again. An
	// error deletes the message, and its caller gets it: a *bayeux.Error as it
	// is, any other wrapped in one that is ErrDeleted, with the Name.
	Outgoing func(ctx context.Context, m *bayeux.Message) error

	// Incoming sees each reply and event in the order of arrival. An error
	// deletes an event; a reply then counts as failed with that error. Before the
	// reply to a connect that to one which was given up may come, after [Client.Nudge]
	// or when some other reply had stayed out over a stream.
	Incoming func(ctx context.Context, m *bayeux.Message) error

	// Selects is asked, after Incoming and on the same goroutine, whether those
	// who subscribed to ch, a channel or pattern without a filter, get m. They
	// do unless an extension says no; so does whoever listens only.
	Selects func(ch string, m *bayeux.Message) bool

	// Done is called when every local subscriber of ch has handled m: its loop
	// asked for the next message, its handler returned nil, or it took m from
	// a Chan. What a full queue gave up nobody handles, nor what is given up when
	// the client ends, so it is not called for that. ch is the channel subscribed
	// to, without a filter.
	Done func(ch string, m *bayeux.Message)

	// Recovers reports whether the extension gets back what was missed on ch by
	// itself, so that no Gap is told: after a break that the session survived,
	// or, with a new session, after the loss of one.
	Recovers func(ch string, newSession bool) bool

	// Unsubscribed is called when the last subscription to ch has ended, with or
	// without a session. ch is as for Done.
	Unsubscribed func(ch string)

	// Closed is called once, when the client has ended.
	Closed func()
}

// parse checks the patterns, and makes them such as Channel.Match wants.
func (e *Extension) parse() (err error) {
	if e.Channels, err = patterns(e.Channels); err == nil {
		e.Requests, err = patterns(e.Requests)
	}
	return err
}

func patterns(ps []string) ([]string, error) {
	parsed := slices.Clone(ps) // the caller keeps its own, and nil stays nil
	for i, p := range ps {
		ch, err := bayeux.ParseRemote(p)
		if err != nil {
			return nil, err
		}
		parsed[i] = string(ch.WithoutFilter())
	}
	return parsed, nil
}

func (e *Extension) sees(ch string) bool { return matchAny(e.Channels, ch) }

func (e *Extension) seesRequest(ch string) bool {
	if e.Requests != nil {
		return matchAny(e.Requests, ch)
	}
	return e.sees(ch)
}

// matchAny reports whether one of the patterns matches ch, or there is none.
func matchAny(patterns []string, ch string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return bayeux.Channel(p).Match(ch) })
}

// A stage is one extension's function, and the extension's name.
type stage struct {
	extension string
	f         func(ctx context.Context, m *bayeux.Message) error
}

// outgoing is what a request on ch passes, in reverse order of registration.
func (c *config) outgoing(ch string) (stages []stage) {
	for i := len(c.extensions) - 1; i >= 0; i-- {
		if e := &c.extensions[i]; e.Outgoing != nil && e.seesRequest(ch) {
			stages = append(stages, stage{e.Name, e.Outgoing})
		}
	}
	return stages
}

// incoming is what a message on ch passes, in order of registration.
func (c *config) incoming(ch string) (stages []stage) {
	for i := range c.extensions {
		if e := &c.extensions[i]; e.Incoming != nil && e.sees(ch) {
			stages = append(stages, stage{e.Name, e.Incoming})
		}
	}
	return stages
}

// selects are what messages on ch are shown to once they have passed incoming.
func (c *config) selects(ch string) (fs []func(string, *bayeux.Message) bool) {
	for i := range c.extensions {
		if e := &c.extensions[i]; e.Selects != nil && e.sees(ch) {
			fs = append(fs, e.Selects)
		}
	}
	return fs
}

// unsubscribed tells the extensions of channels.
func (c *config) unsubscribed(channels []string) {
	lock.None()
	for i := range c.extensions {
		for _, ch := range channels {
			if e := &c.extensions[i]; e.Unsubscribed != nil && e.sees(ch) {
				e.Unsubscribed(ch)
			}
		}
	}
}

// handled are the extensions that want to know when ch's messages are done.
func (c *config) handled(ch string) (fs []func(string, *bayeux.Message)) {
	for i := range c.extensions {
		if e := &c.extensions[i]; e.Done != nil && e.sees(ch) {
			fs = append(fs, e.Done)
		}
	}
	return fs
}

// recovers reports whether some extension closes the gap on ch.
func (c *config) recovers(ch string, newSession bool) bool {
	lock.None()
	for i := range c.extensions {
		if e := &c.extensions[i]; e.Recovers != nil && e.sees(ch) && e.Recovers(ch, newSession) {
			return true
		}
	}
	return false
}

func (c *config) sessionBegins(id string) {
	for i := range c.extensions {
		if f := c.extensions[i].Session; f != nil {
			f(id)
		}
	}
}

// pass runs the stages until one deletes the message.
func pass(ctx context.Context, m *bayeux.Message, stages []stage) error {
	lock.None()
	for _, s := range stages {
		if err := s.f(ctx, m); err != nil {
			return s.deleted(m.Channel, err)
		}
	}
	return nil
}

// deleted is the extension's refusal as the message's caller sees it.
func (s *stage) deleted(ch string, err error) error {
	if e, ok := refusalOf(err); ok {
		return e
	}
	return fmt.Errorf("%w: extension %q: %w", &bayeux.Error{Code: 404, Message: "message_deleted", Channel: ch}, s.extension, err)
}
