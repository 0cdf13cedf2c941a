// Package ack makes delivery to a client reliable across broken connections:
// it is CometD's acknowledgement extension (docs/protocol.md §16), the client's
// half. The server's is package ackserver.
//
//	c, err := cometd.Dial(ctx, url, client.WithExtension(ack.Client()))
//
// A server that has the extension keeps what it sends until the client says
// that it has it. After a break that is shorter than the session's grace it
// sends again what was lost, and [Client] drops what was not: the application
// sees each message once, in order. (What the server's queue drops before it is
// sent, as ChannelOptions.Overflow may say, is not sent.) After a longer break the
// session is gone, and the subscriptions are told by a client.Gap.
//
// # Two forms
//
// With a reference server messages leave with connect replies only, each reply
// has a number, and the next connect acknowledges it: one round trip for each
// delivery, on a WebSocket too.
//
// A server of this module is offered a better form, which others ignore.
// Messages leave at once. Each has a number, which both ends count, so that
// nothing is added to the messages themselves: a server tells the number of the
// first message on each connection, in a message on [Channel], and the client
// says in its connects how far it has come, and in between by publishing on
// Channel whenever it has received as much as the server's window allows.
//
// # Where to put it
//
// Give [Client] before other extensions: they may delete events, and those that
// the client does not count are sent again.
package ack
