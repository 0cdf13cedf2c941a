package client

import (
	"context"
	"iter"

	"github.com/gocometd/cometd/bayeux"
)

// An Event is something that a client heard: [Received], [Failure], [Change],
// [Gap] or [EventsLost].
type Event interface{ event() }

// Received is a message from the server, an event or a reply; read it, Clone
// it to change it.
type Received struct{ *bayeux.Message }

// Failure is an error that some part of the client met: a refusal by the
// server, a connection that broke. The client goes on unless a Change to
// bayeux.Stopped follows.
type Failure struct{ Err error }

// EventsLost stands where a receiver of [Client.Events] was too slow, in the place
// of so many events.
type EventsLost struct{ Events int }

func (Received) event()   {}
func (Failure) event()    {}
func (Change) event()     {}
func (Gap) event()        {}
func (EventsLost) event() {}

// Events yields everything that the client hears from now on, in order, until
// ctx ends or the client has stopped: messages of all subscriptions, replies,
// errors, changes of state, gaps. There may be any number of receivers; each
// sees everything. The client never waits for one: who falls 1024 events
// behind misses the oldest and is told by an [EventsLost]. Range over it once.
func (c *Client) Events(ctx context.Context) iter.Seq[Event] {
	return c.hub.Events(ctx)
}

// receiverEvents bounds what waits for one receiver.
const receiverEvents = 1024
