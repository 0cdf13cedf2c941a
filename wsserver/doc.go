//go:build !js

// Package wsserver is the server end of the WebSocket transport: an Acceptor
// that takes the upgrades, each of which becomes a stream of payloads
// (docs/protocol.md §8).
//
// cometd.NewServer uses it already. Name it to choose options:
//
//	srv, err := cometd.NewServer(server.WithTransports(
//		wsserver.NewAcceptor(wsserver.WithCompression(1024)),
//		longpoll.NewAcceptor(),
//	))
//
// # What a peer may send
//
// Text messages within the server's limit, in as many fragments as it likes.
// Anything else closes the socket with a code that says why:
//
//	1002  a frame that breaks the protocol, such as one that is not masked
//	1003  a binary message
//	1007  text that is not UTF-8, or not a Bayeux payload
//	1009  a message over the limit, which the reason names
//
// Pings are answered. While the peer takes nothing only the answer to its
// newest ping is kept.
//
// # What goes out
//
// A payload is one frame and one write. On plain TCP a Conn is a
// transport.Starter: it never blocks the server's writer. On TLS it is not,
// because TLS cannot be written without blocking. A peer that takes nothing for
// Accept.Stall is cut.
//
// A closed socket is first told why in a close frame, then gets a second to
// read what it was sent.
package wsserver
