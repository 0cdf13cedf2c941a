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
	x, left := &expiry{}, time.Until(at)
	x.after(left, func() {
		s.srv.run(func() { s.srv.endWith(s, &ending{why: transport.Expired, at: x}) })
	})
	if warn > 0 {
		x.after(left-warn, func() {
			_ = s.Send(ExpiringChannel, map[string]int64{"at": at.UnixMilli()})
		})
	}
	s.expiry = x
}

// An expiry is the timers of one call of Expire.
type expiry struct{ timers []*time.Timer }

// after runs f after d, on a goroutine of its own.
func (x *expiry) after(d time.Duration, f func()) {
	if d <= 0 { // no timer: in fake time one that is due at once can upset the race detector of Go 1.26
		go f()
		return
	}
	x.timers = append(x.timers, time.AfterFunc(d, f))
}

func (x *expiry) stop() {
	if x == nil {
		return
	}
	for _, timer := range x.timers {
		timer.Stop()
	}
}
