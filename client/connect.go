package client

import (
	"cmp"
	"errors"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// probePatience is how soon Nudge wants an answer.
const probePatience = time.Second

// heldConnect is how long a connect must have been out to count as held.
const heldConnect = 500 * time.Millisecond

// What ends the wait for a connect's reply for the sake of another connect.
var (
	errNudged  = errors.New("client: nudged")
	errDoubted = errors.New("client: nothing was heard for long")
)

// A nextConnect is one connect of the loop.
type nextConnect struct {
	soon   bool // the server is to answer at once: the first one over a connection, and after failures
	probe  bool // Nudge asks
	doubt  bool // a reply stayed out
	rested bool // it comes after a pause
}

// keep keeps l's session, over l and its successors, until it is lost or the
// client ends. It returns with no link left but one that is kept for the next
// handshake.
func (c *Client) keep(l *link) verdict {
	if c.advice.ShouldStop() { // the handshake's, though it was granted
		return c.endKeep(l, c.none(verdict{}), false, false)
	}
	b := nextConnect{soon: true}
	var s streak
	c.quickConnects = 0
	for {
		l.begun.Store(false)
		began, events := time.Now(), c.count.events()
		m, err := c.connect(l, b)
		if nudged := errors.Is(err, errNudged); nudged || errors.Is(err, errDoubted) {
			if l.conn == nil {
				c.markGap(transport.Replaced, false) // an answer on its way was cut with its exchange
			}
			b = nextConnect{soon: true, probe: nudged, doubt: !nudged}
			continue
		}
		c.noteWorked(err)
		v := c.judge(m, err)
		told := v.next == rehandshake
		if v.next == reconnect && c.strikesOut(&s, l, b, err) {
			v.next = rehandshake
			c.demote(l, err)
		}
		switch v.next {
		case connectAgain:
			s = streak{}
			c.answeredWell(l, b, time.Since(began) >= heldConnect || c.count.events() > events)
			if !c.rest(l, c.pace()) {
				return c.leave(l)
			}
			l = c.upgrade(l)
			b = nextConnect{soon: l.fresh}
		case reconnect:
			broken := l
			if l, b, v = c.afterBreak(l, b, v, &s); v.next != reconnect {
				if s.strikes > 0 {
					c.demote(broken, err)
				}
				return v
			}
		default:
			v.rested = b.rested
			return c.endKeep(l, v, told, wantsHandshake(m, err))
		}
	}
}

// afterBreak is for b, which has failed over l, as v says: its connection is made again,
// or, if it was on trial, the session goes back to the exchanges of before. Without a
// link the verdict is another.
func (c *Client) afterBreak(l *link, b nextConnect, v verdict, s *streak) (*link, nextConnect, verdict) {
	if l.onTrial() {
		if back, err := c.goBack(l, v.err); err == nil {
			return back, nextConnect{soon: true}, v
		}
	}
	late, session := errors.Is(v.err, bayeux.ErrTimeout), c.ID()
	if l, v = c.restore(l, v, s, b.probe); v.next != reconnect {
		return nil, b, v
	}
	if c.ID() != session {
		*s = streak{}
	}
	if l.conn == nil && late {
		c.end.reroute()
	}
	return l, nextConnect{soon: true, rested: !b.probe}, v
}

// endKeep is for a session that ends over l, told by the server or not; l is left open
// if a connect's reply over it has asked for another one, and if it can be.
func (c *Client) endKeep(l *link, v verdict, told, asked bool) verdict {
	if told {
		c.outbox.shutOrdinary()
		l.settleDown(lastAnswers)
		if errors.Is(c.takeLoss(), errKicked) {
			v = c.none(verdict{})
		}
	}
	if c.ctx.Err() != nil {
		return c.leave(l)
	}
	if !told || !asked || !c.keepStream(l) {
		l.close(v.err)
	}
	return v
}

// lastAnswers is for how long what is under way in a session that the server does not
// know any more is awaited: what comes back goes into the next one, or was taken, and
// what is cut is lost.
const lastAnswers = time.Second

// connect sends one connect and waits for its reply.
func (c *Client) connect(l *link, b nextConnect) (*bayeux.Message, error) {
	m := &bayeux.Message{Channel: bayeux.MetaConnect, ConnectionType: l.typ()}
	patience := c.cfg.timeouts.NetworkDelay
	if b.doubt {
		patience /= 2 // for as long nothing was heard before
	}
	if b.probe {
		patience = min(patience, probePatience)
	}
	if l.onTrial() {
		patience = min(patience, upgradePatience)
	}
	if b.soon {
		m.Advice = &bayeux.Advice{Timeout: bayeux.SpanOf(0)}
	} else {
		patience += c.hold()
	}
	return c.supervise(l, m, transport.Connect, patience)
}

// hold is how long the server may keep a connect; more than an hour would be no
// watch at all.
func (c *Client) hold() time.Duration {
	def := c.cfg.timeouts.DefaultTimeout
	if c.advice == nil {
		return def
	}
	return min(c.advice.Timeout.Or(def), time.Hour)
}

// supervise sends a request of the supervisor's own and waits for its reply,
// watching everything that may come instead.
func (c *Client) supervise(l *link, m *bayeux.Message, kind transport.Kind, patience time.Duration) (*bayeux.Message, error) {
	r := c.newRequest(c.ctx, m, kind)
	r.patience, r.exchange = 0, 0 // watched here
	answers := r.replies()
	c.outbox.put(laneConnect, r)
	reply, err := c.watchFor(l, answers, patience, m)
	if err != nil && !c.outbox.remove(r) {
		l.abandon(r)
	}
	if l.conn == nil && errors.Is(err, bayeux.ErrTimeout) {
		l.endOverlong()
	}
	return reply, err
}

// watchFor is the watchdog: it ends with the reply to m, or with the reason why
// none will come.
func (c *Client) watchFor(l *link, answers <-chan answer, patience time.Duration, m *bayeux.Message) (*bayeux.Message, error) {
	connect := m.Channel == bayeux.MetaConnect
	held := connect && m.Advice == nil
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var kicked error
	for {
		select {
		case a := <-answers:
			return afterKick(a, kicked)
		case <-timer.C:
			// A pause that a full queue made is no broken network, nor is a slow line; but
			// who should make room may wait for the next session.
			if more := c.grace(l, connect); more > 0 && kicked == nil {
				timer.Reset(more)
				continue
			}
			return nil, cmp.Or(kicked, stalled(l.typ()))
		case <-l.ctx.Done():
			select {
			case a := <-answers:
				return afterKick(a, kicked)
			default:
				return nil, cmp.Or(kicked, c.takeLoss(), l.why()) // the server may end the session, then the connection
			}
		case <-c.losses:
			err := c.takeLoss()
			switch {
			case err == nil || !connect:
			case !errors.Is(err, errKicked) && !(l.conn == nil && errors.Is(err, bayeux.ErrUnknownSession)):
				return nil, err
			case kicked == nil:
				kicked = err
				timer.Reset(probePatience) // the connect's reply may say more, and bring the last events
			case errors.Is(err, errKicked):
				kicked = err
			}
		case <-c.nudged:
			if connect && kicked == nil { // else the end is near anyway
				return nil, errNudged
			}
		case <-c.doubts:
			if held && l.conn != nil && kicked == nil { // else the answer is due soon anyway
				return nil, errDoubted
			}
		case <-c.ctx.Done():
			return nil, c.ctx.Err()
		}
	}
}

// stalled is the error of a connection that says nothing in time.
func stalled(typ string) error {
	return &transport.Error{Type: typ, Op: "receive", Reason: transport.Stalled, Err: bayeux.ErrTimeout}
}

// grace is how much longer a reply may stay out that was due now: that of a connect
// while a payload comes, too.
func (c *Client) grace(l *link, connect bool) (more time.Duration) {
	more = c.flow.grace(c.cfg.timeouts.NetworkDelay)
	if connect {
		more = max(more, l.in[laneConnect].arrival.left(c.cfg.timeouts.NetworkDelay))
	}
	return more
}

// afterKick is the connect's reply that came with the server's disconnect: it
// counts if it says why. That the server does not know the session any more, and
// its usual advice for that, says nothing new: the connect may have come after the
// disconnect was sent.
func afterKick(a answer, kicked error) (*bayeux.Message, error) {
	if kicked == nil || saysWhy(a, kicked) {
		return a.m, a.err
	}
	return nil, kicked
}

// saysWhy reports whether a has more to say than kicked: after a publish that was told
// that the session is gone, only that the client is to stop.
func saysWhy(a answer, kicked error) bool {
	if a.err != nil {
		e, refused := refusalOf(a.err)
		return refused && (e.Advice.ShouldStop() || !errors.Is(e, bayeux.ErrUnknownSession))
	}
	if a.m == nil || a.m.Advice == nil {
		return false
	}
	return errors.Is(kicked, errKicked) || a.m.Advice.ShouldStop()
}

func (c *Client) takeLoss() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.loss
	c.loss = nil
	return err
}

// noteWorked notes for how long the connection has worked: from its first good
// answer to a connect until now, unless that is when somebody lost patience.
func (c *Client) noteWorked(err error) {
	if !c.workingSince.IsZero() && !errors.Is(err, bayeux.ErrTimeout) {
		c.workedFor = time.Since(c.workingSince)
	}
}

// forgetWorked is for a session, or its connection, that begins.
func (c *Client) forgetWorked() { c.workingSince, c.workedFor = time.Time{}, 0 }

// answeredWell is for a connect that the server answered. It was useful if it
// was held, or something came meanwhile; quickConnects counts those in a row that were
// not.
func (c *Client) answeredWell(l *link, b nextConnect, useful bool) {
	l.fresh, c.gapTold, c.connected = false, false, true
	c.count.taken.Add(1)
	c.setFailure(nil)
	c.step(bayeux.ConnectOK, l.typ(), c.lesser)
	c.releaseRequests()
	select {
	case c.tried <- nil:
	default:
	}
	c.lastAnswer = time.Now()
	if c.workingSince.IsZero() {
		c.workingSince = c.lastAnswer
	}
	if c.workedFor >= c.backoff.lasting() {
		c.backoff.reset()
	}
	switch {
	case b.soon:
	case useful:
		c.quickConnects = 0
	default:
		c.quickConnects++
	}
}

// expired reports whether the server has dropped the session by now, by what it
// advised: the last connect was answered longer ago than it holds one and then
// waits for the next (docs/protocol.md §5).
func (c *Client) expired() bool {
	if c.advice == nil || c.advice.MaxInterval.Or(0) == 0 {
		return false
	}
	keeps := c.hold() + interval(c.advice) + min(c.advice.MaxInterval.Or(0), year)
	return time.Since(c.lastAnswer) > keeps
}

// year bounds what is summed up.
const year = 365 * 24 * time.Hour
