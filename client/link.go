package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// A link is the way to the server: one Conn if the transport is a stream, with
// a reader and a writer; two lanes that make a Conn per exchange if it is not.
// The supervisor opens and closes it; its goroutines end with it.
//
// A broken stream breaks its link. A broken exchange fails its own requests.
type link struct {
	c      *Client
	dialer transport.Dialer
	conn   transport.Conn // nil: one per exchange
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	in     [2]*reader    // of each lane: what brings replies to connects, and to all else
	begun  atomic.Bool   // since the last connect the server has sent something, whole or not
	free   chan struct{} // less is under way
	turn   chan struct{} // held by who handles a payload: two lanes take turns
	stands standstill
	cut    bool // under turn: what comes is behind a payload that was not handled to its end
	// complete is closed when all events that the last handshake's reply
	// announced are here. The reader makes it before it hands over such a reply.
	complete   chan struct{}
	credential string // that the stream was opened with

	// The supervisor's:
	fresh   bool             // no connect has been answered over it
	instead transport.Dialer // of the exchanges that it is to be better than

	mu           lock.Mutex[lock.ClientLink]
	pending      map[uint64]*request // sent, not answered
	lateConnects []*request          // connects that were given up, and whose replies a stream may still bring: nobody waits, but extensions see them
	overdue      *time.Timer         // looks after those that stay unanswered
	looksIn      time.Duration       // what it was set to
	looksAt      time.Time           // when it does
	owes         bool                // a reply to an ordinary request may still come that nobody waits for
	closed       bool
	heard        time.Time
}

// open dials d, in at most patience, and starts the link's goroutines.
func (c *Client) open(d transport.Dialer, patience time.Duration) (*link, error) {
	credential := c.end.authorization()
	conn, err := c.dial(d, patience)
	if err != nil {
		return nil, err
	}
	l := c.link(d, conn)
	l.credential = credential
	return l, nil
}

func (c *Client) dial(d transport.Dialer, patience time.Duration) (transport.Conn, error) {
	slow := fmt.Errorf("no connection within %v: %w", patience, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(c.ctx, patience, slow)
	defer cancel()
	return c.end.dial(ctx, d)
}

// link makes conn, or its likes, the way to the server.
func (c *Client) link(d transport.Dialer, conn transport.Conn) *link {
	l := &link{c: c, dialer: d, pending: make(map[uint64]*request), heard: time.Now(), free: make(chan struct{}, 1), turn: make(chan struct{}, 1), stands: standstill{over: make(chan struct{})}}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	l.in[laneConnect] = newReader(l)
	l.in[laneOther] = l.in[laneConnect]
	if conn.Peer().Once {
		l.in[laneOther] = newReader(l)
		l.wg.Go(func() { l.exchanges(laneConnect, conn) })
		l.wg.Go(func() { l.exchanges(laneOther, nil) })
		return l
	}
	l.conn = conn
	l.wg.Go(l.read)
	l.wg.Go(l.write)
	return l
}

func (l *link) typ() string { return l.dialer.Type() }

// onTrial reports whether the session may have to go back to exchanges.
func (l *link) onTrial() bool { return l.fresh && l.instead != nil }

// why is the reason for which the link broke.
func (l *link) why() error { return context.Cause(l.ctx) }

// settleDown waits until nothing is under way, at most for d, and reports whether
// it is so. The caller has seen to it that nothing new starts.
func (l *link) settleDown(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for l.busy() {
		select {
		case <-l.free:
		case <-timer.C:
			return !l.busy()
		case <-l.ctx.Done():
			return false
		case <-l.c.ctx.Done():
			return false
		}
	}
	return true
}

func (l *link) busy() bool {
	if l.c.outbox.atWork() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) > 0
}

// inDebt reports whether a stream may still bring replies that nobody waits for.
func (l *link) inDebt() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owes
}

// awaitsResult reports whether the result of a call is to come.
func (l *link) awaitsResult() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.pending {
		if r.call {
			return true
		}
	}
	return false
}

// fail breaks the link; the first reason stays.
func (l *link) fail(err error) {
	l.cancel(err)
	if l.conn != nil {
		l.conn.Close(transport.ReasonOf(err))
	}
	l.c.flow.signal() // whoever reads may have paused, and is waited for
}

// close ends the link and returns when its goroutines have. What was sent over
// it and not answered is given back.
func (l *link) close(why error) {
	l.fail(why)
	l.wg.Wait()
	l.mu.Lock()
	l.closed = true
	if l.overdue != nil {
		l.overdue.Stop()
	}
	rs := make([]*request, 0, len(l.pending))
	for _, r := range l.pending {
		rs = append(rs, r)
	}
	clear(l.pending)
	l.mu.Unlock()
	l.c.giveBackAll(rs, context.Cause(l.ctx))
}

// giveBackAll returns requests that may be sent again to the outbox, and
// settles the others.
func (c *Client) giveBackAll(rs []*request, why error) {
	again := rs[:0]
	for _, r := range rs {
		if c.giveBack(r, why) {
			again = append(again, r)
		}
	}
	c.requeue(again...)
}

// requeue puts requests back, to be sent before all others, and settles those that
// were withdrawn meanwhile: who did so found them nowhere.
func (c *Client) requeue(rs ...*request) {
	if len(rs) == 0 {
		return
	}
	back := c.outbox.putBack(rs)
	for _, r := range rs {
		switch {
		case !back:
			c.settle(r, nil, c.closedErr())
		case r.abandoned.Load() && c.outbox.remove(r): // in this order: from now on they are found
			c.settle(r, nil, withdrawn(r))
		}
	}
}

// read is the stream's reader. It waits for a subscriber only when its queue
// is full.
func (l *link) read() {
	in := l.in[laneConnect]
	for {
		if err := in.receive(l.conn); err != nil {
			l.fail(receiveError(l.typ(), err))
			return
		}
	}
}

// receiveError names what an error means here: io.EOF that the server closed, well or
// not, a codec.Error that we do, and tell the server which of the two it is.
func receiveError(typ string, err error) error {
	bad, ok := errors.AsType[*codec.Error](err)
	switch {
	case errors.Is(err, io.EOF):
		return &transport.Error{Type: typ, Op: "receive", Reason: transport.GoingAway, Err: io.EOF}
	case ok && bad.Limit != "":
		return &transport.Error{Type: typ, Op: "receive", Reason: transport.TooLarge, Err: err}
	case ok:
		return &transport.Error{Type: typ, Op: "receive", Reason: transport.BadPayload, Err: err}
	}
	return err
}

// write is the stream's writer: it takes what waits and sends it in one payload.
func (l *link) write() {
	var out writer
	for {
		rs := l.c.outbox.take(l.ctx, laneConnect, laneOther)
		if rs == nil {
			return
		}
		own := rs[0].supervised()
		_, err := out.send(l, l.conn, rs)
		if !own {
			l.c.outbox.done()
			wake(l.free)
		}
		if err != nil {
			l.unsent(err)
			return
		}
	}
}

// unsent breaks the link because of what Send has failed with. Why a Conn has
// ended is what its reader is told, which is about to say so, unless a full queue
// holds it up.
func (l *link) unsent(err error) {
	if errors.Is(err, transport.ErrClosed) {
		select {
		case <-l.ctx.Done():
		case <-time.After(time.Second):
		}
	}
	l.fail(err)
}

// expect remembers requests before they are sent: a reply may be quick. It keeps of rs
// and of messages, their texts, what somebody still waits for, and returns the others:
// nobody would watch them, and what was withdrawn is not sent.
func (l *link) expect(conn transport.Conn, rs *[]*request, messages *[][]byte) (gone []*request) {
	now, session := time.Now(), l.c.ID()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for i, r := range *rs {
		r.on.Store(l) // before the look: who withdraws later finds it here
		if r.abandoned.Load() {
			gone = append(gone, r)
			continue
		}
		r.sent, r.session, r.conn = now, session, conn
		l.pending[r.id] = r
		l.watch(l.patience(r))
		(*rs)[n], (*messages)[n] = r, (*messages)[i]
		n++
	}
	clear((*rs)[n:])
	*rs, *messages = (*rs)[:n], (*messages)[:n]
	return gone
}

// patience is how long r's reply may stay out. An exchange has its own limits,
// for the answer to begin and then to end, so there it is only what remains
// when all else fails.
func (l *link) patience(r *request) time.Duration {
	if l.conn == nil && !r.call && r.patience > 0 {
		return 2*r.patience + time.Second
	}
	return r.patience
}

// forget takes a request back that nobody waits for any more; a late reply is
// stale then.
func (l *link) forget(r *request) (was bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if was = l.pending[r.id] == r; was {
		l.giveUp(r)
	}
	return was
}

// giveUp takes a request out whose reply may still come. The caller holds l.mu.
func (l *link) giveUp(r *request) {
	delete(l.pending, r.id)
	l.owes = true
	wake(l.free)
}

// mostLateConnects bounds what is remembered of Nudge after Nudge.
const mostLateConnects = 16

// abandon is forget for the supervisor's requests: an exchange ends with it. One
// that is about to be sent is not.
func (l *link) abandon(r *request) {
	r.abandoned.Store(true) // before expect, or else it is pending
	l.mu.Lock()
	sent := l.pending[r.id] == r
	if sent {
		delete(l.pending, r.id)
	}
	if sent && l.conn != nil && r.kind == transport.Connect {
		l.lateConnects = append(l.lateConnects[max(0, len(l.lateConnects)-mostLateConnects+1):], r)
	}
	l.mu.Unlock()
	if sent && l.conn == nil {
		r.conn.Close(transport.Replaced)
	}
}
