// Package bayeux is the Bayeux 1.0 protocol as Go types: messages, channels,
// advice, errors and the states a client goes through. It does no input or
// output and imports only the standard library.
//
// # Messages
//
// Everything that travels is a [Message]. A received one is shared by all who
// get it: read it, and [Message.Clone] it to change it. Data stays JSON text
// until [Message.Decode]; nil Data means that the message has no data field,
// which is not the same as null.
//
//	var q Quote
//	if err := m.Decode(&q); err != nil { … }
//	if err := reply.Err(); errors.Is(err, bayeux.ErrUnknownSession) { … }
//
// # Which channel function do I want
//
// [ParseChannel] and [ParsePattern] are a server's: they accept what the
// reference server accepts and nothing else. [ParseRemote] is a client's: it
// refuses only what no server takes, because some servers give `?`, `=` and
// quotes a meaning. [ParseTemplate] is for a server's listeners with
// variables, as in /news/{category}/{id}. The [Channel] they return answers
// questions; functions elsewhere in this module take plain strings.
//
// # Requests
//
// Programs that speak the protocol step by step make their requests with
// [NewHandshake], [NewConnect], [NewSubscribe], [NewUnsubscribe],
// [NewDisconnect] and [NewPublish], which check their arguments and leave the
// id to whoever sends, and follow the session with [State.Next].
//
// The wire itself is described in docs/protocol.md; comments here cite its
// sections.
package bayeux
