package client

import (
	"time"

	"github.com/gocometd/cometd/transport"
)

// Hooks are functions that count and measure; nil ones cost nothing. Several may
// run at once. They run on the client's own goroutines, so one that blocks holds
// up what follows, for all subscriptions: they must not block or call the client.
type Hooks struct {
	State    func(Change)                                   // each change of state
	Sent     func(transport string, messages, bytes int)    // each payload sent: one call for all its messages; bytes of JSON
	Received func(transport string, messages, bytes int)    // each payload received, likewise
	Replied  func(ch string, took time.Duration, err error) // each request that was sent, once
	Dropped  func(ch string, n int, why transport.Reason)   // messages a full queue gave up or replaced
	Gap      func(Gap)                                      // messages may have been missed
}
