package server

import (
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// Hooks are told what happens, for metrics. They run in place, from many
// goroutines at once, and should only count; they must not panic. Nil ones cost
// nothing.
type Hooks struct {
	// SessionOpened is told of a session whose handshake was granted, and
	// SessionClosed, once, why it ended: Kicked, Normal (its client
	// disconnected), Expired, Overflow, GoingAway (the server closed).
	SessionOpened func(s *Session)
	SessionClosed func(s *Session, why transport.Reason)

	// ConnOpened is told of a socket, or an HTTP request that some transport
	// took, and ConnClosed, once for each of those, why it ended, and the error
	// with which receiving did.
	ConnOpened func(p *transport.Peer)
	ConnClosed func(p *transport.Peer, why transport.Reason, err error)

	// FrameIn is told of each payload that was read, before it is processed, and
	// FrameOut of each that was written: how many messages, and how many bytes
	// of JSON, without the framing and before compression.
	FrameIn, FrameOut func(connectionType string, messages, bytes int)

	// Published is told of each message that was queued for the subscribers of
	// a channel, by a client or the server: for how many, and how many bytes of
	// JSON it has for each.
	Published func(ch string, subscribers, bytes int)

	// Refused is told of each message that is answered with a failure, the connect
	// that tells a client of its session's end included. err is not to be changed.
	Refused func(p *transport.Peer, err *bayeux.Error)

	// Dropped is told of n messages of one channel ("" for Session.Send) that
	// never leave: why is Overflow if the outbox was full or a newer message took
	// the place of an older one (KeepLatest), else the reason for which the session
	// ended while they waited.
	Dropped func(s *Session, ch string, n int, why transport.Reason)

	// Limited is told each time something breaks one of [Limits], by its name
	// in lower case with underscores, such as "message_bytes". Four names are
	// no fields: "session_queue" is SessionBytes or SessionMessages,
	// "held_per_browser_http2" has no underscore before the 2, "callback" is
	// the length of a JSONP callback (longpoll.WithCallback), and "origin" is a
	// page of another origin that was refused ([WithOrigins]). The log has the
	// first time, and then one line a minute for each limit, with its count; for
	// "origin" with the page's origin and the host that it asked for.
	Limited func(limit string)
}

// refused tells the hook. No lock may be held.
func (srv *Server) refused(p *transport.Peer, err *bayeux.Error) {
	if f := srv.hooks.Refused; f != nil {
		f(p, err)
	}
}
