//go:build !js

// Package wire is what both ends of the WebSocket transport put around
// github.com/coder/websocket: the library opens the connection, reads it and
// answers its control frames; this package writes whole frames past it.
//
// A [Socket] stands between the library and the connection. Data goes out
// through [Socket.Send] or [Socket.Start] as one prebuilt frame in one write;
// what the library writes are control frames only, each in a single Write, and
// the Socket lets them in between two frames. A [Reader] gives text messages
// one after the other and enforces what the library leaves to its user: text
// only, valid UTF-8, a limit with a name. A server that masks is found by its
// first frame; the library undoes the mask of later ones and does not mind.
//
// # Who writes
//
// Socket.mu guards everything. A frame goes out in one of two ways:
//
//   - On a plain TCP connection, once and without blocking, under mu. What the
//     kernel refuses is written by a drainer that holds the busy flag.
//   - On any other connection, such as TLS, by the caller, which holds the busy
//     flag and not mu while it blocks.
//
// Whoever holds busy is alone on the wire. Others leave what they have: one
// data frame, and the newest control frame. The holder takes those before it
// gives busy back. So nothing but data ever waits, and what waits is bounded.
package wire
