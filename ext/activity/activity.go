// Package activity ends sessions that are connected and do nothing: it is
// CometD's activity extension (docs/protocol.md §16), which has a server's half
// only and nothing on the wire.
//
//	srv, err := cometd.NewServer(server.WithExtension(activity.Server(activity.Client, 15*time.Minute)))
//
// It looks when a connect arrives, so a session ends up to one Timing.Timeout
// after the limit. Its client is told as by server.Session.Disconnect.
package activity

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/clock"
	"github.com/gocometd/cometd/server"
)

// Who is whose activity counts.
type Who int8

const (
	// Client counts what the client sends, connects aside.
	Client Who = iota
	// ClientAndServer also counts the broadcast messages that it gets.
	ClientAndServer
)

// Server makes the extension for one server: a session that was idle for longer
// than max is disconnected. With [ClientAndServer] every broadcast is shown to
// the extension once for each subscriber, and encoded for each apart. It panics
// if max is not positive.
func Server(w Who, max time.Duration) server.Extension {
	if max <= 0 {
		panic(fmt.Sprintf("activity: max is not positive: %v", max))
	}
	x := &extension{max: max, active: server.NewAttr[*atomic.Int64]("activity")}
	e := server.Extension{Name: "activity", Incoming: x.incoming}
	if w == ClientAndServer {
		e.Deliver = func(_ context.Context, s *server.Session, _ *bayeux.Message) error {
			x.note(s)
			return nil
		}
	}
	return e
}

type extension struct {
	max    time.Duration
	active *server.Attr[*atomic.Int64] // by package clock
}

func (x *extension) incoming(_ context.Context, s *server.Session, m *bayeux.Message) error {
	if m.Channel != bayeux.MetaConnect {
		x.note(s)
		return nil
	}
	last, ok := x.active.Get(s)
	if !ok || clock.Now()-time.Duration(last.Load()) <= x.max {
		return nil
	}
	s.Disconnect()
	// The connect that is being processed is not held any more, and without
	// this its client would think that it may come back.
	return &bayeux.Error{Code: 402, Message: "session_unknown", Advice: &bayeux.Advice{Reconnect: bayeux.NoReconnect}}
}

func (x *extension) note(s *server.Session) {
	last, ok := x.active.Get(s)
	if !ok {
		last = new(atomic.Int64)
		x.active.Set(s, last)
	}
	last.Store(int64(clock.Now()))
}
