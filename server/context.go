package server

import (
	"context"
	"time"

	"github.com/gocometd/cometd/transport"
)

// PeerOf returns who sent the message whose handler got ctx, with the headers
// of the request that carried it or opened its socket. It is nil for a context
// that does not come from this package.
func PeerOf(ctx context.Context) *transport.Peer {
	p, _ := ctx.Value(peerKey{}).(*transport.Peer)
	return p
}

// askedBy is whose message the handler got that has ctx, or nil.
func askedBy(ctx context.Context) *Session {
	s, _ := ctx.Value(sessionKey{}).(*Session)
	return s
}

type (
	peerKey    struct{}
	sessionKey struct{}
	varsKey    struct{}
)

// callContext is the context of user code: it has the values of the HTTP
// request and ends with the session.
type callContext struct {
	context.Context // of the Conn: the values
	peer            *transport.Peer
	session         *Session // never nil where user code gets the context
	batch           uint64   // of a connect's reply
}

func (c *callContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *callContext) Done() <-chan struct{}       { return c.session.Context().Done() }
func (c *callContext) Err() error                  { return c.session.Context().Err() }

func (c *callContext) Value(key any) any {
	switch key {
	case peerKey{}:
		return c.peer
	case sessionKey{}:
		return c.session
	case batchKey{}:
		return c.batch
	}
	// The session's first: package context finds its own kind there, and then
	// needs no goroutine to follow this one.
	if v := c.session.Context().Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}
