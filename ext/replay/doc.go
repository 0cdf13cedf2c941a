// Package replay lets a client go on where it stopped: it remembers, for each
// channel, the last message that was handled, and asks the server for what came
// after it. It speaks the protocol of Salesforce (docs/protocol.md §17) and of
// package replayserver.
//
//	positions, err := replay.File("positions.json")
//	c, err := client.New(url, client.WithTransports(longpoll.NewDialer()),
//		client.WithTokenSource(token), replay.Salesforce(positions))
//	sub, err := c.SubscribeFunc(ctx, "/event/Order__e", client.Typed(book))
//
// # What is promised
//
// A position is stored after the message was handled: its handler returned nil,
// or its loop asked for the next one. A program that dies between the two gets
// that message again when it is back; it misses none, for as long as the server
// retains them. In one run of the program a new session repeats nothing, also where
// the program has asked for a position of its own in the ext of its subscribe: that
// is where its first session begins.
//
// What a full queue gave up, as with client.DropOldest, is not handled. The position
// of its channel, as subscribed to, goes past it with the next message of that channel
// that is handled, and a program that dies before then gets it again.
//
// Subscriptions that overlap, such as /a/* and /a/x, each get what is published
// once and in order, and each goes on from a position of its own, where the
// server is this module's: it says whose past a message belongs to. Two channels
// of one Subscription that overlap each bring their own past. Other servers say
// nothing of it: there the past of one comes to the other, too; use a client for
// each. Who unsubscribes gives up what was not handled, and gets it after
// subscribing again. If the unsubscribe was not answered, what comes before the reply to
// that subscribe is given up and told by a client.Gap, see client.Client.Subscribe.
//
// Ids are the server's, and believed wherever they come: on a channel that the
// server does not keep, an event.replayId of a publisher's own is taken for one. So
// do not subscribe to a pattern that spans kept channels and others on which
// strangers publish. And do not combine a pattern with client.KeepLatest: newer
// messages of one channel then go before older ones of another, which a program
// that ends in between has not handled and does not get again.
//
// When the server no longer has what comes after a position, the subscription
// goes on as Config.Expired says and is told by a client.Gap.
package replay
