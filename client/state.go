package client

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
)

// A Change is one step of the client's state (docs/protocol.md §6), or the
// move of a session from one transport to another.
type Change struct {
	From, To  bayeux.State
	Transport string // the connection type in use or being tried; "" before the first
	Session   string // the session's id, a secret; "" without one
	Resumed   bool   // connected again, in the session of before
	At        time.Time

	// Err says why: what broke, what was refused; when connected over another
	// transport than the preferred one, why that one is not in use.
	Err error

	n uint64 // in the order of changes
}

// identity is the session's id, also as the JSON text that requests carry.
type identity struct {
	id     string
	quoted codec.Raw
}

// State returns the current state. Connected means that the last connect was
// answered in time.
func (c *Client) State() bayeux.State { return c.change().To }

// ID returns the session's id, "" without a session. It is a secret: who knows
// it may speak for the session.
func (c *Client) ID() string { return c.identity().id }

func (c *Client) change() Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *Client) identity() identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// setSession makes id the session; "" is none.
func (c *Client) setSession(id string) {
	quoted, _ := codec.Encode(id) // a string has an encoding
	c.mu.Lock()
	c.session = identity{id, quoted}
	c.loss = nil // it was another's
	c.mu.Unlock()
}

// step moves the state by e, and tells everybody if that changes anything.
func (c *Client) step(e bayeux.Event, transport string, why error) {
	c.mu.Lock()
	from := c.last
	to, err := from.To.Next(e)
	if err != nil {
		c.mu.Unlock()
		c.cfg.log.Error("illegal change of state", "err", err)
		return
	}
	now := Change{From: from.To, To: to, Transport: transport, Session: c.session.id, At: time.Now(), Err: why, n: from.n + 1}
	now.Resumed = from.To == bayeux.Unconnected && to == bayeux.Connected
	if to == from.To && transport == from.Transport && now.Session == from.Session {
		c.mu.Unlock()
		return
	}
	c.last = now
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	c.announce(now)
}

func (c *Client) announce(now Change) {
	c.cfg.log.LogAttrs(c.ctx, slog.LevelInfo, "state changed", now.attrs()...)
	if now.To == bayeux.Connected && now.From != bayeux.Connected {
		c.count.connects.Add(1)
	}
	if f := c.cfg.hooks.State; f != nil {
		f(now)
	}
	c.hub.Tell(now)
}

// States yields the last change, and then each as it happens, until ctx ends
// or the client has stopped. Every caller sees all of them, in order; one who
// falls 1024 behind misses the oldest.
func (c *Client) States(ctx context.Context) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		rcv := c.hub.Join(func(e Event) bool { _, ok := e.(Change); return ok })
		defer rcv.Leave()
		first := c.change()
		if !yield(first) {
			return
		}
		for e := range rcv.Events(ctx) {
			if ch, ok := e.(Change); ok && ch.n > first.n && !yield(ch) {
				return
			}
		}
	}
}

// Wait returns when the client is connected: nil at once if it is. When ctx ends
// first the error is ctx's and the last failure in one, so that errors.Is finds
// either; when the client has ended it is [ErrClosed] and why.
func (c *Client) Wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		state, changed := c.last.To, c.changed
		c.mu.Unlock()
		if state == bayeux.Connected {
			return nil
		}
		select {
		case <-changed:
		case <-c.ended:
			return c.closedErr()
		case <-ctx.Done():
			return c.waitedErr(ctx)
		}
	}
}
