// Package transport is the seam between sessions and wires: what carries
// payloads, each a JSON array of Bayeux messages, between two ends.
//
// Most programs never name it. Use it to write a transport of one's own: a
// [Dialer] for the client, and for the server either an [Acceptor] (over HTTP)
// or any loop that hands a [Conn] to Server.ServeConn. A transport that passes
// package transporttest works with every client and server here.
//
// # One question
//
// Sessions ask one thing about a Conn, [Peer].Once. False: a stream, any number
// of payloads at any time, as on a WebSocket. True: one payload each way, as in
// one HTTP exchange. Everything else is the transport's own business: pings,
// close frames, gzip, the URL's suffix, the BAYEUX_BROWSER cookie.
//
// # The promises
//
// A Conn keeps these seven; transporttest.Run tests each:
//
//  1. Once. A stream takes any number of payloads. A Once Conn takes one each
//     way. Server end: Receive gives the request, then blocks until the answer
//     has left or the requester is gone, and says io.EOF; Send answers; Close
//     without Send answers with the Reason's Status. Client end: Dial is free,
//     Send hands the request over, Receive performs it and gives the response.
//     A lost exchange is a lost Conn, so only its own requests fail.
//  2. Polled (callback-polling), which only a Once Conn is: the server sends
//     events only with the reply to a /meta/connect.
//  3. Callers. One goroutine receives; one Send at a time, from any goroutine;
//     Close, Peer and Context from anywhere, at any time.
//  4. Order. Payloads arrive in the order they were sent. Between Once Conns
//     there is none.
//  5. Memory. In: no buffer crosses, the caller reads from a reader that is
//     good until the next Receive or Close. Out: a Payload's Messages are shared
//     with other Conns; they are never changed and never kept after Send
//     returned. Close returns only when no Send uses them any more.
//  6. Errors of Receive and Send end the Conn, not the session. A nil from Send
//     is no receipt. A payload over the limit makes its reader fail with
//     [ErrTooLarge]. Dial's [ErrUnsupported] means: this transport does not work
//     here, use the next one now.
//  7. Close works at once: it frees a blocked Receive and a blocked Send, waits
//     for no peer, and may be called again.
//
// The wire of each transport is in docs/protocol.md §8 to §11.
package transport
