package server

import (
	"time"

	"github.com/gocometd/cometd/transport"
)

// ExpiringChannel is where a client is warned that its session will expire:
// {"at": Unix time in milliseconds}. A client without a listener there loses
// nothing.
const ExpiringChannel = "/service/session/expiring"

// Expire ends the session at a time, such as that of its token: its client
// then handshakes again. warn before that, if positive, it gets a message on
// [ExpiringChannel], so that it can renew, or at once if that time is past.
// Another call replaces the times; a zero at takes them away. A time that is past
// ends the session in a moment, on another goroutine.
func (s *Session) Expire(at time.Time, warn time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiry.stop()
	s.expiry = nil
	if at.IsZero() || s.phase == gone {
		return
	}
	x := &expiry{}
	x.end = time.AfterFunc(time.Until(at), func() {
		s.srv.run(func() { s.srv.endWith(s, &ending{why: transport.Expired, at: x}) })
	})
	if warn > 0 {
		x.warn = time.AfterFunc(time.Until(at)-warn, func() {
			_ = s.Send(ExpiringChannel, map[string]int64{"at": at.UnixMilli()})
		})
	}
	s.expiry = x
}

type expiry struct{ end, warn *time.Timer }

func (x *expiry) stop() {
	if x == nil {
		return
	}
	x.end.Stop()
	if x.warn != nil {
		x.warn.Stop()
	}
}
