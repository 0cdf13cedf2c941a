// Package ackserver is the server's half of the acknowledgement extension
// (docs/protocol.md §16), for reference clients and for those of package ack:
//
//	srv, err := cometd.NewServer(server.WithExtension(ackserver.New()))
//
// A session whose client asks for it gets each message until the client has
// acknowledged it: a break that is shorter than the session's grace loses
// nothing, whatever the network did to polls and replies. What was sent and not
// acknowledged counts against server.Limits.SessionBytes like what waits, and is
// dropped with the session.
//
// Reference clients get the reference's wire: messages leave with connect
// replies only, which have numbers, and a connect acknowledges a number. They
// may get messages twice after a break. Clients of package ack get messages at
// once and never twice.
//
// In the second form a client acknowledges now and then on ack.Channel. These
// messages pass no policy and no authorizer.
package ackserver
