package client

import (
	"errors"
	"fmt"

	"github.com/gocometd/cometd/bayeux"
)

// What a caller branches on, beside the refusals in package bayeux and the
// failures in package transport.
var (
	// ErrClosed reports a call after Close, Drain or a final refusal; in the
	// last case the error also wraps the refusal, see [Client.Err].
	ErrClosed = errors.New("client: closed")

	// ErrNoTransport reports that client and server have no transport in common.
	ErrNoTransport = errors.New("client: no common transport")

	// ErrLost reports that the connection broke, or the reply stayed out, after
	// the message had been sent: the server may have taken it or not.
	ErrLost = errors.New("client: connection lost before the reply")

	// ErrBusy is what PublishFunc returns while Limits.Pending requests wait for
	// their replies, or so many outcomes for its callbacks, and Batch.Send for a
	// batch of more than so many. Other calls wait for a place.
	ErrBusy = errors.New("client: too many requests wait for their replies")
)

// lost is ErrLost for one request, and why.
func lost(ch string, why error) error {
	return fmt.Errorf("%w: %s: %w", ErrLost, ch, why)
}

// refusalOf is the server's refusal that err is, or wraps.
func refusalOf(err error) (e *bayeux.Error, refused bool) { return errors.AsType[*bayeux.Error](err) }
