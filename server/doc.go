// Package server is a Bayeux server: sessions, channels and delivery, over
// whatever transports it is given.
//
// Most programs make one with cometd.NewServer, which brings WebSocket and
// long-polling, and mount it in the router they have:
//
//	srv, err := cometd.NewServer()
//	srv.Mount(mux, "/cometd")
//	srv.HandleService("/service/add", server.Typed(add))
//	srv.Publish(ctx, "/quotes/ACME", quote)
//
// Use this package to bring your own transports ([WithTransports]), to decide
// who may do what ([Policy], [Server.Authorize]), to answer clients
// ([Server.HandleService]), to watch or veto what they publish
// ([Server.Handle]) and to follow who comes and goes ([Server.Events]).
//
// # Sessions and connections
//
// A [Session] is not a connection. It is made by a handshake, has a bounded
// queue of undelivered messages ([Outbox]), and outlives its socket by a grace
// ([Timing]): a client that comes back in time, on another socket or another
// transport, gets what it missed, in order. After the grace the session is
// gone and the client must handshake again.
//
// # Order and bounds
//
// Each session gets messages in the order in which the server took them, and
// all sessions get the messages of one channel in the same order. A client
// that does not read fills its own queue only; what happens when it is full
// is chosen per channel ([ChannelOptions]). Every other bound is in [Limits].
//
// # The way of a message
//
// A message from a client is checked, then seen by extensions ([Extension],
// [Session.Extend]), judged by [Policy] and authorizers, changed by filters
// ([Server.Filter]), seen by listeners from the root pattern to the channel,
// encoded once, and queued for every subscriber. Each step may refuse it; the
// client is told why. On a service channel a [Service] answers in the place of
// subscribers. What the server itself publishes ([Server.Publish]) or sends to
// one session ([Session.Send]) or to one user ([Server.SendUser]) asks no
// policy.
//
// # Refusals
//
// A client's mistakes are answered with a Bayeux error, code:args:message, as
// docs/protocol.md §4 lists them; what is not a payload at all with a status
// (400, 413) or a close code (1007, 1009) and a text. A refusal for a limit
// names it, is counted in [Stats] and told to [Hooks]. A 500 is no mistake of a
// peer's: the application or its store has failed (a panic, an error of a service
// that is no [*bayeux.Error], a history that cannot keep the message, a reply that
// has no encoding, a handshake that took longer than Processing of [Timing]), of
// which the log has the rest. Or it answers a connect that a
// newer one has replaced.
//
// # Your code
//
// Handlers, listeners, policies and extensions run in the receive order of the
// session whose message they see: a slow one delays that session and no other,
// and its session does not expire meanwhile, unless [Timing] bounds Processing.
// Those of different sessions, and of the server's own publishes, run at once, so
// what they share is theirs to guard. No lock is held while they run: they may
// call any method here except [Server.Close] and [Server.Shutdown], which wait for
// them. A panic in one costs the message that it looked at, and nothing else.
// Extension.Deliver, [Server.OnCreate] and [Outbox.Number] say what else they may
// not do; [Hooks] run in the middle of things, and should only count.
package server
