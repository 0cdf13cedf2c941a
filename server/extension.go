package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
)

// An Extension sees messages as they come in and go out, and may change them. What
// one leaves is what the next gets, of all extensions and listeners, and may be
// changed there: a function that wants to keep a message clones it. Only Deliver
// gets one for each session. Functions that are nil cost nothing. In: the order of
// registration; out: its reverse. An error deletes the message; for an incoming one
// the client gets it as the refusal if it is a [*bayeux.Error], else
// 404::message_deleted, and [Answer] answers it. A panic is logged, and the message
// goes on to the next extension. Extensions run after the check of the session and
// before policy (docs/protocol.md §15), for many sessions at once.
type Extension struct {
	Name string

	// Channels limits the extension to some channels and patterns; others pay
	// nothing. The default, nil, is all, meta channels included.
	Channels []string

	// Opened runs in New, Closed when Close is done.
	Opened func(srv *Server)
	Closed func()

	// Incoming sees what clients send. For a handshake s is the session that
	// is being made.
	Incoming func(ctx context.Context, s *Session, m *bayeux.Message) error

	// Outgoing sees each reply, and each broadcast message once, whoever gets
	// it; there s is its publisher, nil for the server.
	Outgoing func(ctx context.Context, s *Session, m *bayeux.Message) error

	// Deliver sees a broadcast message once for each session that gets it.
	// Messages on its channels are then encoded for each session apart. On
	// channels that a [History] keeps it holds up all that are kept, so it should
	// be quick there, and may not publish on a channel that is kept: with ctx that
	// fails, with another context it never returns.
	Deliver func(ctx context.Context, s *Session, m *bayeux.Message) error
}

func (e *Extension) matches(ch string) bool {
	if e.Channels == nil {
		return true
	}
	for _, p := range e.Channels {
		if bayeux.Channel(p).Match(ch) {
			return true
		}
	}
	return false
}

// parsed is the extension with its patterns in the form that matches.
func (e Extension) parsed() (Extension, error) {
	e.Channels = slices.Clone(e.Channels)
	for i, pattern := range e.Channels {
		p, err := parsePattern(pattern)
		if err != nil {
			return e, err
		}
		e.Channels[i] = string(p)
	}
	return e, nil
}

// Extend adds an extension for this session alone, whose functions run after
// the server's on the way in and before them on the way out. Opened and Closed
// are not called. One with a Deliver costs every broadcast of the server a
// look at it. It panics if one of e.Channels is illegal.
func (s *Session) Extend(e Extension) {
	e, err := e.parsed()
	if err != nil {
		panic(fmt.Sprintf("server: %v", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Deliver != nil && !s.personal && s.phase != gone {
		s.personal = true
		s.srv.personal.Add(1)
	}
	all := append(slices.Clip(s.extended()), e)
	s.own.Store(&all)
}

// extended are the extensions of this session alone.
func (s *Session) extended() []Extension {
	if s == nil {
		return nil
	}
	if all := s.own.Load(); all != nil {
		return *all
	}
	return nil
}

// Answer is what Extension.Incoming returns to answer a message itself: it goes
// no further, and the client gets reply, whose channel and id are filled in,
// and which says that it was successful unless it says that it was not.
func Answer(reply *bayeux.Message) error { return &answer{reply} }

type answer struct{ reply *bayeux.Message }

func (*answer) Error() string { return "server: answered by an extension" }

// incoming shows a message to the extensions for its channel.
func (t *turn) incoming(r *route, m *bayeux.Message) error {
	own := t.session.extended()
	if len(r.incoming) == 0 && len(own) == 0 {
		return nil
	}
	t.wakeOthers()
	ctx := t.context()
	for i := range r.incoming {
		if err := t.srv.call(&r.incoming[i], r.incoming[i].Incoming, ctx, t.session, m); err != nil {
			return err
		}
	}
	for i := range own {
		if !own[i].matches(m.Channel) {
			continue
		}
		if err := t.srv.call(&own[i], own[i].Incoming, ctx, t.session, m); err != nil {
			return err
		}
	}
	return nil
}

// outgoing shows a reply to the extensions for its channel.
func (srv *Server) outgoing(ctx context.Context, to *Session, r *route, m *bayeux.Message) error {
	for _, e := range slices.Backward(to.extended()) {
		if !e.matches(m.Channel) {
			continue
		}
		if err := srv.call(&e, e.Outgoing, ctx, to, m); err != nil {
			return err
		}
	}
	for i := range r.outgoing {
		if err := srv.call(&r.outgoing[i], r.outgoing[i].Outgoing, ctx, to, m); err != nil {
			return err
		}
	}
	return nil
}

// call runs one function of an extension, if it has it. A panic there is
// logged, and the message goes on to the next.
func (srv *Server) call(e *Extension, f func(context.Context, *Session, *bayeux.Message) error, ctx context.Context, s *Session, m *bayeux.Message) (err error) {
	if f == nil {
		return nil
	}
	lock.None()
	defer func() {
		if p := recover(); p != nil {
			srv.panicked("extension", p, slog.String("extension", e.Name), slog.Any("session", s))
			err = nil
		}
	}()
	return f(ctx, s, m)
}
