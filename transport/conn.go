package transport

import (
	"context"
	"io"
	"net/http"
)

// A Conn carries payloads between two ends, in order. A WebSocket is one; so is
// one HTTP exchange. See the package comment for the seven promises it keeps.
type Conn interface {
	// Receive waits for the next payload. The reader gives the JSON text and is
	// good until the next Receive or Close; what was not read of it is skipped.
	// It fails with an error that is ErrTooLarge when the payload is larger than
	// the limit. Receive returns io.EOF when the Conn ended well. One goroutine
	// may call it at a time.
	Receive() (io.Reader, error)

	// Send hands p to the network (a client's exchange: to its next Receive) and
	// never waits for an answer. It blocks while the network takes nothing, until
	// Close. A nil error is no receipt. One Send at a time, from any goroutine.
	Send(p *Payload) error

	// Close ends the Conn at once, frees a blocked Receive and Send, and waits
	// for no peer. It returns when no Send uses its caller's memory any more.
	// Any number of goroutines may call it, any number of times; the first
	// call's reason is the one the peer is told, where the wire has room for it.
	Close(r Reason) error

	// Peer says who is at the other end. It returns the same Peer every time,
	// which nobody may change.
	Peer() *Peer

	// Context has the values of the request that made the Conn, and is done when
	// the Conn is.
	Context() context.Context
}

// A Starter is a Conn that can send without waiting. A server prefers Start to
// Send, because one goroutine can then serve many sessions.
type Starter interface {
	// Start never waits. It returns true if the network has all of p; done is not
	// called then. Else the Conn keeps a copy of the rest, writes it under its own
	// stall limit, and calls done once, from another goroutine, with nil or the
	// error that ended the Conn. If the Conn has ended before, done is called
	// before Start returns. Until done neither Start nor Send may be called.
	// p.Messages are free when Start returns.
	Start(p *Payload, done func(error)) (sent bool)
}

// A Dialer is the client's end of a transport: it makes Conns. Any number of
// goroutines may use it at once. One that was made with wrong options says so by
// a method Err() error, which client.New asks.
type Dialer interface {
	// Type is the connection type as it stands in supportedConnectionTypes
	// (docs/protocol.md §7), such as "websocket".
	Type() string

	// Dial opens a Conn to t. ctx bounds Dial only; ending it later changes
	// nothing. A Once transport opens nothing here, so Dial is free. An error
	// that is ErrUnsupported says: do not try this transport again soon.
	Dial(ctx context.Context, t *Target) (Conn, error)
}

// An Acceptor is the server's end of a transport that starts with an HTTP
// request. Any number of goroutines may use it at once. One that was made with
// wrong options says so by a method Err() error, which server.New asks.
type Acceptor interface {
	// Type is the connection type as it stands in supportedConnectionTypes.
	Type() string

	// Match says whether r is for this transport. It looks only at the method,
	// the URL's query and the header, and changes nothing.
	Match(r *http.Request) bool

	// Serve calls serve once with the Conn that r opens, or answers r itself
	// when it opens none. serve runs until the Conn has ended. Serve may return
	// earlier: a socket outlives its request. Origins and CORS headers are the
	// server's business, before Serve, and so is a limit of time for a body that
	// Serve does not read; where it reads it, it takes that limit away after it.
	Serve(w http.ResponseWriter, r *http.Request, o *Accept, serve func(Conn))
}
