package server

import (
	"context"
	"iter"

	"github.com/gocometd/cometd/transport"
)

// An Event is something that happened to a session, or what the application
// emitted: a [SessionAdded], [Subscribed], [Unsubscribed], [SessionRemoved],
// [CustomData] or [EventsLost], in the order in which it happened.
type Event interface{ event() }

// SessionAdded is a successful handshake. Context has the values that the
// application's middleware put into the request's context; [PeerOf] gives its
// headers.
type SessionAdded struct {
	Session *Session
	Context context.Context
}

// SessionRemoved is the end of a session: Normal for a disconnect, Kicked,
// Expired when its client was away for too long, or what else ended it. Text is
// what [Session.Kick] was given, or the limit that has ended it. The server has
// neither the session nor its subscriptions any more.
type SessionRemoved struct {
	Session *Session
	Reason  transport.Reason
	Text    string
}

// Subscribed are the channels and patterns of one subscribe that were granted and
// are new to the session, without service channels. Context is that of the
// message, as in [SessionAdded], or the session's own where [Session.Subscribe]
// did it.
type Subscribed struct {
	Session  *Session
	Channels []string
	Context  context.Context
}

// Unsubscribed are channels and patterns that a session left, or all it had
// when it ended. Context is that of the unsubscribe, as in [Subscribed], or
// the session's own.
type Unsubscribed struct {
	Session  *Session
	Channels []string
	Context  context.Context
}

// CustomData is what the application gave to [Server.Emit].
type CustomData struct{ Value any }

// EventsLost comes in the place of events that a slow loop missed.
type EventsLost struct{ Events int }

func (SessionAdded) event()   {}
func (SessionRemoved) event() {}
func (Subscribed) event()     {}
func (Unsubscribed) event()   {}
func (CustomData) event()     {}
func (EventsLost) event()     {}

// Events yields what happens from now on, in order, until ctx is done or the
// server is closed. Any number of loops may run; each sees everything. A loop
// never delays the server: one that falls more than Limits.Events behind gets
// EventsLost instead of the oldest ones. Registration happens when Events is
// called, so nothing is missed between that and the loop. Range over it once.
func (srv *Server) Events(ctx context.Context) iter.Seq[Event] {
	return srv.events.Events(ctx)
}

// Emit puts v, as [CustomData], among the events that every loop over
// [Server.Events] sees.
func (srv *Server) Emit(v any) { srv.events.Tell(CustomData{v}) }
