package client

import (
	"time"

	"github.com/gocometd/cometd/transport"
)

// Hooks are functions that count and measure; nil ones cost nothing. They run
// on the client's own goroutines, one for all messages of a frame, and must not
// block or call the client.
type Hooks struct {
	State    func(Change)                                   // each change of state
	Sent     func(transport string, messages, bytes int)    // each payload sent
	Received func(transport string, messages, bytes int)    // each payload received
	Replied  func(ch string, took time.Duration, err error) // each request that was sent, once
	Dropped  func(ch string, n int, why transport.Reason)   // messages a full queue gave up
	Gap      func(Gap)                                      // messages may have been missed
}
