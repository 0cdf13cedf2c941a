package client

import "time"

// rest is sleep between two connects. It ends early when the next one will show
// that the connection or the session is gone.
func (c *Client) rest(l *link, d time.Duration) bool {
	if d <= 0 {
		return c.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.nudged:
	case <-c.doubts:
	case <-c.losses:
		c.tellLoss() // the next connect
	case <-l.ctx.Done():
	case <-c.ctx.Done():
		return false
	}
	return true
}

// pace is how long to rest between two connects: as the server advised, where
// that makes no loop of connects that are answered at once.
func (c *Client) pace() time.Duration {
	advised := interval(c.advice)
	if advised >= heldConnect {
		return advised
	}
	return max(advised, tooQuick(c.quickConnects))
}

// tooQuick paces a server that answers at once, again and again, with nothing:
// it may advise no interval, but it gets no endless loop.
func tooQuick(quick int) time.Duration {
	if quick < 3 {
		return 0
	}
	return min(time.Duration(quick-2)*100*time.Millisecond, 5*time.Second)
}

// appointed is how long it is until the time at which the server wants to hear of
// the client again, if it has said so in its last answer: one that shuts down
// ends the connection before, or just after, and the next one expects the client
// then. Pauses of the client's own would come on top. It is false when there is
// no such time, or the connection is not the first to break.
func (c *Client) appointed() (due time.Duration, ok bool) {
	pause := interval(c.advice)
	due = time.Until(c.lastAnswer.Add(pause))
	return max(0, due), pause > 0 && due > -justMissed && c.backoff.failures == 0
}

// justMissed is little beside how long a server holds connects when it lives.
const justMissed = 500 * time.Millisecond
