package server

import (
	"fmt"
	"iter"
	"slices"

	"github.com/gocometd/cometd/bayeux"
)

// A Channel is a channel or pattern that exists on the server. It keeps
// attributes ([Attr]) for as long as it does.
type Channel struct {
	srv *Server
	ch  *channel
}

// Name returns the channel's name.
func (c *Channel) Name() string { return c.ch.name }

// Creator returns the session whose subscribe or publish made the channel; nil
// if the server did, or the session has ended since.
func (c *Channel) Creator() *Session { return c.srv.Session(c.ch.creator) }

// Subscribers yields the sessions that are subscribed to exactly this name.
func (c *Channel) Subscribers() iter.Seq[*Session] { return c.ch.subs.all() }

func (c *Channel) attributes() *attributes { return &c.ch.attrs }

// Channel returns the channel of that name, nil if it does not exist now.
func (srv *Server) Channel(name string) *Channel {
	if ch := srv.channels.named(name); ch != nil && ch.kind != bayeux.Meta {
		return &Channel{srv, ch}
	}
	return nil
}

// OnCreate runs f for each channel that matches pattern and comes into being,
// before anybody can publish or subscribe on it, and returns what stops that.
// f sets attributes; whoever wants the channel waits for it, so it must neither
// publish nor subscribe on the channel. If f panics, the subscribe or publish
// fails with 500::internal, and the next one tries again. OnCreate panics if
// pattern is illegal or f is nil.
func (srv *Server) OnCreate(pattern string, f func(*Channel)) (remove func()) {
	p := mustPattern(pattern)
	mustFunc(f != nil, "function for new channels")
	return attach(&srv.channels, &srv.channels.rules.inits, &rule[func(*Channel)]{match: p.Match, at: string(p), f: f})
}

// Configure sets the options of all channels that match pattern, those that
// exist already included, as [WithChannel] does. Options given later for the
// same pattern replace earlier ones. An illegal pattern is an error.
func (srv *Server) Configure(pattern string, o ChannelOptions) error {
	p, err := parsePattern(pattern)
	if err != nil {
		return fmt.Errorf("server: channel options: %w", err)
	}
	r := &srv.channels.rules
	r.mu.Lock()
	kept := slices.DeleteFunc(slices.Clone(r.configured), func(c channelRule) bool { return c.pattern == string(p) })
	r.configured = append(kept, channelRule{string(p), o})
	r.mu.Unlock()
	srv.channels.generation.Add(1)
	return nil
}
