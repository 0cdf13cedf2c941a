// Package fault makes networks bad on purpose, for tests: connections that are
// cut, stall, half-open, late, corrupted, that repeat bytes or swap them.
//
// What happens is a list of [Step], each at a byte of one direction. A [Plan]
// gives a list to every connection, by its number: [Script] the same to all,
// [Random] one drawn from a seed, so that a failure can be run again.
//
//	p, err := fault.NewProxy(server.Addr().String(), fault.Random(seed, 4<<10, fault.Cut, fault.Stall))
//	c, err := cometd.Dial(ctx, p.URL()+"/cometd")
//
// # Which one do I want
//
//   - [Proxy]: between a client and a server that know nothing of it, on real
//     sockets of the loopback. It can also cut all connections at once, or
//     make them half-open, and be pointed at another server.
//   - [NewConn] and [NewListener]: one net.Conn, or all that a server accepts.
//   - [RoundTripper]: whole HTTP exchanges, for what a stream cannot do:
//     requests that arrive twice or overtake one another, answers that are lost.
//
// Nothing here panics on what passes through, and nothing is left running after
// Close.
package fault
