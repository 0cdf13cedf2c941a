package client

import (
	"errors"

	"github.com/gocometd/cometd/bayeux"
)

// keepStream leaves l open for the next handshake, which the server has just said over
// this stream that it wants: after a restart a client then comes back over one
// connection instead of two (docs/protocol.md §8). A stream is not kept that may be
// what is wrong, because no connect of its session was ever answered, or that still
// has to do with the old session: a late reply could be taken for one to a request
// that is sent again, and a request that waits to be written would go out without a
// session.
func (c *Client) keepStream(l *link) bool {
	if l.conn == nil || l.ctx.Err() != nil || !c.connected {
		return false
	}
	if l.busy() || l.inDebt() {
		return false
	}
	c.kept = l
	return true
}

// wantsHandshake reports whether the server has answered a connect, and not with
// what another connection might mend: a 401, or the advice to stop.
func wantsHandshake(m *bayeux.Message, err error) bool {
	if err == nil {
		return !m.Advice.ShouldStop()
	}
	e, refused := refusalOf(err)
	return refused && e.Channel == bayeux.MetaConnect && !e.Advice.ShouldStop() && !unauthorized(e)
}

// dismissKept closes the stream that was left open, if there is one.
func (c *Client) dismissKept(why error) {
	if c.kept != nil {
		c.kept.close(why)
		c.kept = nil
	}
}

// takeKept is the stream that was left open, for a handshake; nil if there is
// none that the handshake could go over.
func (c *Client) takeKept(typ string) *link {
	l := c.kept
	if l == nil || l.typ() != typ {
		return nil
	}
	if l.ctx.Err() != nil || l.credential != c.end.authorization() {
		c.dismissKept(nil)
		return nil
	}
	c.kept, l.fresh = nil, false
	return l
}

// mendable reports whether a new connection may mend what has failed a handshake
// over l, a stream of before: it has broken or says nothing, or the server will
// have no second handshake on it. A refusal that lets try again is left to the
// next attempt, after its pause.
func (c *Client) mendable(l *link, err error) bool {
	if c.ctx.Err() != nil {
		return false
	}
	if _, refused := refusalOf(err); refused {
		return c.judge(nil, err).next == stop
	}
	return l.ctx.Err() != nil || errors.Is(err, bayeux.ErrTimeout)
}
