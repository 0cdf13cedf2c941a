// Package replayserver keeps what is published on some channels, so that those
// who subscribe later, or come back, get what they missed. It speaks the replay
// protocol of Salesforce (docs/protocol.md §17), so clients of that work with
// it, as does package replay.
//
//	store, err := boltstore.Open("history.db", replayserver.Rule{Pattern: "/orders/**", Age: 72 * time.Hour})
//	history, err := replayserver.New(store)
//	srv, err := cometd.NewServer(history)
//
// A publish is answered, and delivered, when the store has the message safe; all
// subscribers get messages in the order of the store. What [Memory] keeps is
// safe at once and gone with the process; that of package boltstore survives
// the end of the process at any moment.
//
// A store has a bound on how many channels have messages at a time, Rule.Channels,
// for whoever may publish may name very many. A publish beyond it is refused with
// 429:history_channels,100000:limit_exceeded and delivered to nobody: what is not
// kept would be lost, unnoticed, to those who come back.
//
// # What clients see
//
// Each message has an id at data.event.replayId. Data that has no place for it,
// since it is not an object, or is an object with an event that is none or with a
// "replay.data", stands in an envelope, {"event":{"replayId":7},"replay.data":"hello"}, which
// package replay takes off again. A subscribe may say where to begin, in
// ext.replay: {"/orders/new":7} is after that message, -2 all that is retained,
// -1, like no position at all, what is published from now on. A position whose
// successors are gone is refused with error 400, so that no gap goes unnoticed.
//
// A client that says "replay.marks":true in its handshake, as package replay
// does, is answered likewise. It may then number the channels of a subscribe, in
// ext: {"replay.marks":{"/orders/*":17}}; messages of the past have that number
// in ext, {"replay.marks":17}, and one on /service/replay, {"live":17}, says
// where the past ends and what is published begins. So overlapping subscriptions
// can be kept apart. Both fields of ext are the server's on messages: of what a client
// publishes they are taken off.
//
// The past leaves at the pace of the client and then joins the present, without
// a gap and without a repeat. A subscription to a pattern gets the past of all
// its channels in the order in which it was published. If something of it goes
// before its turn has come, because the client is slow or the rule strict, the
// session ends; the client asks again from where it is, and is told. So it is with a
// message that a damaged store no longer has as it was published: who goes on from
// before it is told, once, and for who asks for all that is retained it is gone.
package replayserver
