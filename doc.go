// Package cometd is CometD for Go: the Bayeux 1.0 protocol, client and server,
// over WebSocket with long-polling wherever a WebSocket cannot go.
//
// This package is the front door. It wires the parts and adds nothing:
//
//	c, err := cometd.Dial(ctx, "https://host/cometd") // a client.Client
//	srv, err := cometd.NewServer()                    // a server.Server
//
// # Which package do I want
//
//   - client: subscribe, publish, call; it stays connected until Close.
//   - server: an http.Handler; policy, services, events, limits.
//   - bayeux: messages, channels and errors, which both speak.
//   - ext/…: extensions, the client's half in ext/ack, the server's in
//     ext/ack/ackserver. ack makes up for a short break, replay for all that
//     the server keeps, once takes a repeated publish once, binary carries
//     bytes; activity, timestamp and timesync are as CometD has them.
//   - wsclient, wsserver, longpoll: the transports, with their options. Give
//     them to client.WithTransports or server.WithTransports to choose or
//     configure them; write one of your own against package transport.
//   - transport/memory: a transport without sockets, for clients in the
//     server's own process; Local wires one.
//   - cometdtest: a server in memory for the tests of your program, whose
//     network breaks when you say so.
//   - keypair: a TLS certificate whose files may be replaced while in use.
//   - codec: message batches to and from JSON, for tools.
//
// The wire is described in docs/protocol.md; doc comments cite its sections.
package cometd
