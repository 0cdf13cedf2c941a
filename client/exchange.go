package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/transport"
)

// exchanges is one lane of a Once transport: one exchange after the other.
// spare is a Conn for the first.
func (l *link) exchanges(on lane, spare transport.Conn) {
	var out writer
	in := l.in[on]
	for {
		rs := l.c.outbox.take(l.ctx, on)
		if rs == nil {
			if spare != nil {
				spare.Close(transport.Normal)
			}
			return
		}
		l.carry(&out, in, spare, rs)
		spare = nil
		if on == laneOther {
			l.c.outbox.done()
		}
		wake(l.free)
	}
}

// carry makes one exchange, over conn if that is given.
func (l *link) carry(out *writer, in *reader, conn transport.Conn, rs []*request) {
	if conn == nil {
		var err error
		if conn, err = l.dial(); err != nil {
			l.unreached(rs, err)
			return
		}
	}
	l.unanswered(rs, l.exchange(out, in, conn, rs))
}

func (l *link) dial() (transport.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.c.cfg.timeouts.Open)
	defer cancel()
	return l.c.end.dial(ctx, l.dialer)
}

// exchange sends requests and handles all that their answer brings.
func (l *link) exchange(out *writer, in *reader, conn transport.Conn, rs []*request) error {
	defer conn.Close(transport.Normal)
	stop := context.AfterFunc(l.ctx, func() { conn.Close(transport.GoingAway) })
	defer stop()
	var late atomic.Bool
	if p := exchangePatience(rs); p > 0 {
		calls := unhurried(rs)
		in.timeout = time.AfterFunc(p, func() {
			if in.arrival.stops(conn.Context(), l.c.cfg.timeouts.NetworkDelay) && l.outlasted(conn, calls) {
				late.Store(true)
				conn.Close(transport.Stalled)
			}
		})
		defer func() { in.timeout.Stop(); in.timeout = nil }()
	}
	sent, err := out.send(l, conn, rs)
	if sent && err == nil {
		err = receiveError(l.typ(), in.receive(conn))
	}
	if err != nil && late.Load() {
		return stalled(l.typ())
	}
	return err
}

// unhurried are the calls among rs whose callers have set a time themselves.
func unhurried(rs []*request) (calls []*request) {
	for _, r := range rs {
		if r.call && r.patience == 0 {
			calls = append(calls, r)
		}
	}
	return calls
}

// outlasted waits for as long as somebody does for one of the calls that conn, an
// exchange, has carried. It is false when conn has ended meanwhile.
func (l *link) outlasted(conn transport.Conn, calls []*request) bool {
	for _, r := range calls {
		if !l.awaits(r) {
			continue
		}
		select {
		case <-r.ctx.Done():
		case <-conn.Context().Done():
			return false
		}
	}
	return true
}

func (l *link) awaits(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending[r.id] == r
}

// endOverlong ends the exchanges that have outlasted Timeouts.NetworkDelay for a
// call: a connect has shown that nothing comes back any more.
func (l *link) endOverlong() {
	var conns []transport.Conn
	l.mu.Lock()
	for _, r := range l.pending {
		if r.call && time.Since(r.sent) > l.c.cfg.timeouts.NetworkDelay {
			conns = append(conns, r.conn)
		}
	}
	l.mu.Unlock()
	for _, conn := range conns {
		conn.Close(transport.Stalled)
	}
}

// exchangePatience is how long an exchange may take: the longest of its requests, and
// longer for a call whose caller has set a time; the supervisor watches its own.
func exchangePatience(rs []*request) (d time.Duration) {
	for _, r := range rs {
		d = max(d, r.exchange)
	}
	return d
}

// unanswered handles the requests of an exchange that failed, or whose answer
// did not name them.
func (l *link) unanswered(rs []*request, err error) {
	c, own := l.c, rs[0].supervised()
	whole, left := len(rs), l.leftOf(rs, err)
	if !own && lostAnswer(err) && l.ctx.Err() == nil {
		c.markGap(transport.ReasonOf(err), false) // any answer may bring events (docs/protocol.md §9)
	}
	switch {
	case len(left) == 0:
	case err == nil:
		c.postpone(left, nil)
		c.giveBackAll(left, &transport.Error{Type: l.typ(), Op: "receive", Reason: transport.BadPayload, Err: errUnnamed})
	case whole > 1 && refusedWhole(err):
		c.cfg.log.Warn("server refuses a batch, sending one message at a time", "transport", l.typ(), "err", err)
		c.outbox.oneByOne(true)
		c.requeue(left...)
	case neverSent(err):
		l.unreached(left, err)
	case statusRefuses(err):
		l.refuse(left, err)
	default:
		c.postpone(left, err)
		c.giveBackAll(left, err)
	}
}

// errUnnamed is the end of an exchange whose answer had other things to say.
var errUnnamed = errors.New("the answer names no request")

// leftOf takes the unanswered ones of rs out of the pending requests. A call
// whose exchange went well stays: its result may come with another.
func (l *link) leftOf(rs []*request, err error) []*request {
	left := rs[:0]
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rs {
		switch {
		case l.pending[r.id] != r:
		case r.call && err == nil:
			l.watch(r.patience)
		default:
			delete(l.pending, r.id)
			left = append(left, r)
		}
	}
	return left
}

// refuse handles requests that the server did not take. After a 401 they go
// again, once, in a new session with the next token. The supervisor judges by itself
// what its own, a handshake for another session for example, are told.
func (l *link) refuse(rs []*request, err error) {
	renew := errors.Is(err, transport.ErrUnauthorized) && l.c.cfg.tokenSource != nil
	var again []*request
	for _, r := range rs {
		if renew && !r.renewed && !r.supervised() {
			r.renewed = true
			again = append(again, r)
			continue
		}
		l.c.failRequest(r, fmt.Errorf("client: %s: %w", r.channel, err))
	}
	if len(again) > 0 {
		l.notSent(again, err)
		l.c.lose(again[0].session, err) // the next one's handshake has the next token
	}
}

// unreached handles requests for which there was no connection. The connect that
// is held has one and may stay out for long, so they are tried again after a pause,
// with all that stands behind them. If its own breaks too, the supervisor sees to it.
func (l *link) unreached(rs []*request, err error) {
	first := rs[0]
	if first.supervised() || first.kind == transport.Disconnect || l.ctx.Err() != nil {
		l.notSent(rs, err)
		return
	}
	pause := l.c.pauseOf(first)
	l.c.cfg.log.Warn("no connection for a request, trying again", "transport", l.typ(), "channel", first.channel, "pause", pause, "err", err)
	l.c.hub.Tell(Failure{err})
	for _, r := range rs {
		r.after = time.Now().Add(pause)
	}
	l.c.requeue(rs...)
}

// notSent handles requests that must not be sent now: they wait until a connect
// has been answered. The supervisor's own are for it to repeat, and a disconnect
// has come true.
func (l *link) notSent(rs []*request, err error) {
	if rs[0].supervised() || rs[0].kind == transport.Disconnect {
		l.c.settle(rs[0], nil, err)
		return
	}
	l.c.outbox.shutOrdinary()
	l.c.requeue(rs...)
}

// statusRefuses reports whether the server's answer says that it took nothing.
func statusRefuses(err error) bool {
	e, ok := errors.AsType[*transport.Error](err)
	return ok && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusRequestTimeout
}

// lostAnswer reports whether an answer may have been on its way that nobody got.
func lostAnswer(err error) bool {
	e, ok := errors.AsType[*transport.Error](err)
	if ok && e.Status != 0 && (e.Status < 500 || e.Status == http.StatusServiceUnavailable) {
		return false
	}
	return err != nil && !neverSent(err)
}

// refusedWhole reports whether the server took nothing of a payload.
func refusedWhole(err error) bool {
	e, ok := errors.AsType[*transport.Error](err)
	return ok && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity || e.Status == http.StatusRequestEntityTooLarge)
}

// neverSent reports whether a payload cannot have left: no connection, not even to the
// proxy, or none from there by SOCKS. net/http names them so before it sends a request.
func neverSent(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && (e.Op == "dial" || e.Op == "proxyconnect" || e.Op == "socks connect")
}
