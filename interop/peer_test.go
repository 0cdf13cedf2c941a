//go:build interop

package interop

import (
	"context"
	"encoding/json"
)

// A peer is one client session, of whatever make. Its methods are called by
// one goroutine.
type peer interface {
	Connect(ctx context.Context) error
	Subscribe(ctx context.Context, channel string) error
	Unsubscribe(ctx context.Context, channel string) error
	// Publish sends all the data in order and returns when the server has
	// acknowledged the last of it.
	Publish(ctx context.Context, channel string, data ...json.RawMessage) error
	// Call sends data to a service channel and returns what comes back.
	Call(ctx context.Context, channel string, data json.RawMessage) (json.RawMessage, error)
	// Next waits for the next message of any subscription.
	Next(ctx context.Context) (message, error)
	// Discard forgets what has been received and not asked for.
	Discard()
	Disconnect(ctx context.Context) error
	// Close ends the session and whatever runs it, and waits for that.
	Close()
}

// A message is one that a peer has received.
type message struct {
	Channel string
	Data    json.RawMessage
}

// inboxSize holds every message that a scenario sends before it reads.
const inboxSize = 4096

// An inbox queues what a peer has received.
type inbox chan message

func (in inbox) Next(ctx context.Context) (message, error) {
	select {
	case m := <-in:
		return m, nil
	case <-ctx.Done():
		return message{}, context.Cause(ctx)
	}
}

func (in inbox) Discard() {
	for len(in) > 0 {
		<-in
	}
}
