// Package client is a Bayeux client: it connects, stays connected, and hands
// over what it subscribed to, in order.
//
// Most programs call cometd.Dial, which brings the transports. Use this package
// to bring your own, or to start without waiting for the network:
//
//	c, err := client.New(url, client.WithTransports(longpoll.NewDialer()))
//
// # What a Client does by itself
//
// A [Client] runs until [Client.Close], [Client.Drain], or a refusal that the
// server calls final (advice "none"). It handshakes, keeps one connect under
// way, and notices within the advised timeout plus [Timeouts].NetworkDelay when
// the answer stays out. After a break it resumes the session; when the server
// has forgotten it, it handshakes, over the stream that is open if there is one,
// and subscribes again. Pauses between attempts are random, about one second at
// first, and double up to thirty ([WithBackoff]). [Client.States] tells each change
// and why, and [Client.Events] everything that a client hears.
//
// It gives a session up by itself when the server has refused its connect three
// times with nothing accepted in between, and when three attempts have reached a
// server, or what stands before it, and come to nothing for longer than a connect is
// held and [Timeouts].NetworkDelay. A session of which no connect was ever answered
// does not get that time. A cookie may lead to a node that is ill: those that servers
// have set are forgotten then.
//
// # Subscriptions
//
// Ask for the next message in a loop, or give a function:
//
//	sub, err := c.Subscribe(ctx, "/quotes/*")
//	for m := range sub.Messages(ctx) { … }
//
// Each [Subscription] has a queue of its own. Until it is full nothing in the
// client waits for the program; then its [Overflow] says what happens. Where
// messages may have been missed, a [Gap] stands between the messages before and
// those after.
//
// # Publishing
//
// [Client.Publish] returns when the server has answered. Without a session it
// waits for one. If the connection breaks before the answer nobody knows
// whether the server took the message: that is [ErrLost], and
// [WithPublishRetry] chooses to send it again.
//
// # Credentials
//
// [WithAccessToken] and [WithTokenSource] put a credential into the
// Authorization header of every request, the WebSocket upgrade included. Cookies
// live in a jar of the client's own and go back byte for byte.
//
// # More than messages
//
// An [Extension] sees and changes what goes over the wire, as ext/ack and
// ext/replay do. [Hooks] count, [WithLogger] logs, [Client.Stats] answers "is it
// connected, since when, over what, and why so". A [Manual] takes the
// protocol's steps one at a time.
//
// docs/protocol.md has the wire; §5 to §7 say how a client follows advice.
package client
