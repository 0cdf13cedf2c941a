//go:build !js

// Package wire is the frames of a WebSocket (RFC 6455, RFC 7692) after it was
// opened, for both ends of the transport.
//
// It is our own because it is the path of a delivery: a server writes one
// prebuilt frame to each of thousands of sockets without ever blocking on one,
// and a socket that is idle, as most are, holds no buffer. A general library
// has to hold a reader, a writer and their locks for each; docs/performance.md
// has what that costs. In a browser all of it that is built is [IsToken]: the
// browser has the socket.
//
// A [Socket] writes: data through [Socket.Send] or [Socket.Start] as one frame
// in one write, control frames in between. A [Reader] reads text messages one
// after the other, answers control frames, and closes the connection of who
// breaks the rules or the limit.
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
//
// # Who reads
//
// One goroutine, which waits for a plain TCP connection without a buffer: it
// borrows one when there is something to read, and gives it back when all of it
// is used. What is left of a large frame is read to where it is wanted. On a
// server it lets others go first if its peer always has more: see pace.go.
package wire
