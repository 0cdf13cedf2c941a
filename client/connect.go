package client

import (
	"cmp"
	"errors"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// probePatience is how soon Nudge wants an answer.
const probePatience = time.Second

// lastingConnect is how long a connect must have been held to show that the
// connection lasts, unless it brought messages.
const lastingConnect = 500 * time.Millisecond

var errNudged = errors.New("client: nudged")

// A beat is one connect of the loop.
type beat struct {
	soon   bool // the server is to answer at once: the first one, and after failures
	probe  bool // Nudge asks
	rested bool // it comes after a pause
}

// strikes is how many failures in a row, of those that [strike] counts, end a
// session.
const strikes = 3

// keep keeps l's session, over l and its successors, until it is lost or the
// client ends. It returns with no link left.
func (c *Client) keep(l *link) verdict {
	b, struck := beat{soon: true}, 0
	c.quick = 0
	for {
		l.begun.Store(false)
		began, heard := time.Now(), c.count.received.Load()
		m, err := c.connect(l, b)
		if errors.Is(err, errNudged) {
			if l.conn == nil {
				c.markGap(transport.Replaced, false) // an answer on its way was cut with its exchange
			}
			b = beat{soon: true, probe: true}
			continue
		}
		v := c.judge(m, err)
		if l.begun.Load() && strike(l, err) == 0 {
			struck = 0 // the session is well, and its connection broke while it spoke
		}
		if v.next == again {
			if struck += strike(l, err); struck >= strikes {
				v.next = anew
			}
		}
		switch v.next {
		case goOn:
			struck = 0
			c.answeredWell(l, b, time.Since(began) >= lastingConnect || c.count.received.Load() > heard+1)
			if !c.rest(l, max(interval(c.advice), tooQuick(c.quick))) {
				return c.leave(l)
			}
			l = c.upgrade(l)
			b = beat{soon: l.fresh}
		case again:
			if l, v = c.restore(l, v, b.probe); v.next != again {
				return v
			}
			b = beat{soon: true, rested: !b.probe}
		default:
			v.rested = b.rested
			if c.ctx.Err() != nil {
				return c.leave(l)
			}
			l.close(v.err)
			return v
		}
	}
}

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
	case <-c.losses:
	case <-l.ctx.Done():
	case <-c.ctx.Done():
		return false
	}
	return true
}

// connect sends one connect and waits for its reply.
func (c *Client) connect(l *link, b beat) (*bayeux.Message, error) {
	m := &bayeux.Message{Channel: bayeux.MetaConnect, ConnectionType: l.typ()}
	patience := c.cfg.timeouts.NetworkDelay
	switch {
	case b.probe:
		patience = min(patience, probePatience)
		fallthrough
	case b.soon:
		m.Advice = &bayeux.Advice{Timeout: bayeux.SpanOf(0)}
	default:
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
	answers := r.await()
	c.outbox.put(heartbeat, r)
	reply, err := c.watchFor(l, answers, patience, kind == transport.Connect)
	if err != nil && !c.outbox.remove(r) {
		l.abandon(r)
	}
	return reply, err
}

// watchFor is the watchdog: it ends with the reply, or with the reason why
// none will come.
func (c *Client) watchFor(l *link, answers <-chan answer, patience time.Duration, connect bool) (*bayeux.Message, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var kicked error
	for {
		select {
		case a := <-answers:
			return afterKick(a, kicked)
		case <-timer.C:
			if more := c.flow.grace(c.cfg.timeouts.NetworkDelay); more > 0 {
				timer.Reset(more) // a pause that a full queue made is no broken network
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
			if kicked == nil && errors.Is(err, errKicked) && connect {
				kicked = err
				timer.Reset(probePatience) // the connect's reply may say more
			} else if err != nil && connect {
				return nil, err
			}
		case <-c.nudged:
			if connect {
				return nil, errNudged
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

// afterKick is the connect's reply that came with the server's disconnect: it
// counts if it says why.
func afterKick(a answer, kicked error) (*bayeux.Message, error) {
	if kicked != nil && a.err == nil && (a.m == nil || a.m.Advice == nil) {
		return nil, kicked
	}
	return a.m, a.err
}

func (c *Client) takeLoss() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.loss
	c.loss = nil
	return err
}

// answeredWell is for a connect that the server answered. A session has shown
// to last when a connect was held, or brought something; quick counts those in
// a row that were neither.
func (c *Client) answeredWell(l *link, b beat, lasting bool) {
	l.fresh, c.broken = false, false
	c.setFailure(nil)
	c.step(bayeux.ConnectOK, l.typ(), c.lesser)
	c.outbox.open(true)
	select {
	case c.tried <- nil:
	default:
	}
	switch {
	case b.soon:
	case lasting:
		c.lasted, c.quick = true, 0
		c.backoff.reset()
	default:
		c.quick++
	}
}

// tooQuick paces a server that answers at once, again and again, with nothing:
// it may advise no interval, but it gets no endless loop.
func tooQuick(quick int) time.Duration {
	if quick < 3 {
		return 0
	}
	return min(time.Duration(quick-2)*100*time.Millisecond, 5*time.Second)
}

// strike is 1 for a failure that shows the session, not the network, to be what
// is wrong: an answer that makes no sense, or nothing at all over a connection
// that did open. Three in a row are worth a new handshake.
func strike(l *link, err error) int {
	te, _ := errors.AsType[*transport.Error](err)
	_, refused := errors.AsType[*bayeux.Error](err)
	_, garbage := errors.AsType[*codec.Error](err)
	broken := te != nil && te.Status != 0 || errors.Is(err, transport.ErrTooLarge) // which a new session does not get again
	if refused || garbage || broken || l.fresh && l.conn != nil && !l.begun.Load() {
		return 1
	}
	return 0
}
