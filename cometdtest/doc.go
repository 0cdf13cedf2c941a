// Package cometdtest helps to test programs that use cometd: a server in
// memory whose network fails on demand, a server that plays a script, and an
// audience for benchmarks.
//
//	func TestAlert(t *testing.T) {
//		srv := cometdtest.NewServer(t)
//		go watch(t.Context(), srv.Dial()) // the program under test
//		srv.AwaitSubscriber("/alerts")
//		srv.Cut()    // every connection breaks, sessions live
//		srv.Forget() // and every session is unknown: the client starts anew
//		srv.AwaitSubscriber("/alerts")
//		srv.Publish(t.Context(), "/alerts", "fire")
//		srv.AwaitPublished("/acks")
//	}
//
// # Fake time
//
// A [NewServer] has no sockets, so a test of it may run in a bubble of
// testing/synctest, where pauses, timeouts and hours of outage take no time.
// Whatever is made in a bubble ends in it: call [Server.Close] before the
// bubble's function returns, because t.Cleanup runs after it.
//
// # Which one do I want
//
//   - [NewServer]: the real server, in memory, with faults. For most tests.
//   - [NewHTTPServer]: the same behind real loopback sockets, WebSocket and
//     long-polling, for clients in other languages and for benchmarks.
//   - [NewScript]: no server at all; the test answers each request itself. For
//     how a program bears odd servers.
//
// Every Await gives up after ten seconds, of fake time in a bubble, and fails
// the test.
package cometdtest
