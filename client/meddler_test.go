//go:build !js

package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/transport"
)

// meddlings are the faults of a meddler. What each does to a request:
//
//	refused       all connections break, and for a while no other opens
//	reset before  all connections break, and the server has not seen it
//	reset after   all connections break, and its reply is lost
//	hangs         it is lost; all else goes on
//	half-open     from it on everything is lost on these connections, both ways
//	slow          it is late, and what comes after it
//	duplicated    it arrives twice; the answer to the second exchange is lost
//	overtaken     it arrives after the next exchange was answered; on a stream,
//	              after the client has come back over another one
//	wrong advice  its reply advises what no protocol knows
//	402           the server ends the session before it
//	500           the server is in trouble, and takes nothing
//	garbage       its reply is no JSON, and the server has not seen it
//
// and to what brings an event, see deliver.
var meddlings = []string{
	"refused", "reset before", "reset after", "hangs", "half-open", "slow", "duplicated", "overtaken", "wrong advice", "402", "500", "garbage",
}

const (
	slow = 3 * time.Second
	away = 2 * time.Second
)

// A meddler dials for a client, and spoils one step, once.
type meddler struct {
	transport.Dialer
	step, fault string
	expire      func()
	late        sync.WaitGroup // what goes on after a Conn was closed

	mu       sync.Mutex
	armed    bool
	at       time.Time // of the fault; zero: not yet
	down     bool
	sunk     bool          // exchanges are lost, until the client gives one up
	answered chan struct{} // closed when the next exchange is answered
	conns    map[*meddled]struct{}
}

func newMeddler(d transport.Dialer, step, fault string, expire func()) *meddler {
	return &meddler{Dialer: d, step: step, fault: fault, expire: expire, answered: make(chan struct{}), conns: map[*meddled]struct{}{}}
}

func (d *meddler) arm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed = true
}

func (d *meddler) struck() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero()
}

// wait waits until nothing goes on.
func (d *meddler) wait() { d.late.Wait() }

// strikes is the fault that is to happen now, at step; "" is none.
func (d *meddler) strikes(step string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.armed || d.step != step {
		return ""
	}
	d.armed, d.at = false, time.Now()
	return d.fault
}

var errNobodyThere = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

func (d *meddler) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	conn, err := d.Dialer.Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	c := &meddled{Conn: conn, d: d, target: t, in: make(chan received), sent: make(chan error, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if down, _ := d.passes(); down && !c.once() {
		c.Close(transport.Internal)
		return nil, errNobodyThere
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns[c] = struct{}{}
	return c, nil
}

// cut breaks all connections.
func (d *meddler) cut() {
	d.mu.Lock()
	conns := d.conns
	d.conns = map[*meddled]struct{}{}
	d.mu.Unlock()
	for c := range conns {
		c.Close(transport.Internal)
	}
}

// refuse breaks all connections and lets none open for a while.
func (d *meddler) refuse() {
	d.setDown(true)
	d.late.Go(func() {
		time.Sleep(away)
		d.setDown(false)
	})
	d.cut()
}

func (d *meddler) setDown(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = on
}

// sink makes all connections half-open. A new stream is good; an exchange would
// take an old connection, until the client has given one up.
func (d *meddler) sink() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sunk = true
	for c := range d.conns {
		c.lose()
	}
}

// passes reports what becomes of an exchange that is about to be made.
func (d *meddler) passes() (down, sunk bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.down, d.sunk
}

// next is closed when an exchange is answered from now on.
func (d *meddler) next() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answered
}

func (d *meddler) answeredOne() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.answered)
	d.answered = make(chan struct{})
}

// A meddled is a Conn whose payloads the meddler sees.
type meddled struct {
	transport.Conn
	d      *meddler
	target *transport.Target
	ctx    context.Context // its holder's
	cancel context.CancelFunc
	pump   sync.Once
	in     chan received
	sent   chan error // an exchange's request has left, or not

	mute, deaf, twice atomic.Bool
	detached          atomic.Bool           // the server does not know that its holder has closed it
	reply             atomic.Pointer[spoil] // what becomes of a reply
}

type received struct {
	payload []byte
	err     error
}

// A spoil is for the payload with the reply of that id.
type spoil struct{ id, fault string }

func (c *meddled) Context() context.Context { return c.ctx }

func (c *meddled) Close(r transport.Reason) error {
	c.d.mu.Lock()
	delete(c.d.conns, c)
	if c.deaf.Load() {
		c.d.sunk = false
	}
	c.d.mu.Unlock()
	c.cancel()
	if c.detached.Load() {
		return nil
	}
	return c.Conn.Close(r)
}

// lose loses everything from now on, both ways.
func (c *meddled) lose() {
	c.mute.Store(true)
	c.deaf.Store(true)
}

func (c *meddled) once() bool { return c.Peer().Once }

// A head is what the meddler looks at in a message.
type head struct {
	Channel, ID string
	Data        json.RawMessage
}

func (c *meddled) Send(p *transport.Payload) error {
	if c.once() {
		down, sunk := c.d.passes()
		if down {
			c.Close(transport.Internal)
			return errNobodyThere
		}
		if sunk {
			c.lose()
		}
	}
	if c.mute.Load() {
		return nil
	}
	for i, text := range p.Messages {
		var m head
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		if fault := c.d.strikes(client.StepOf(m.Channel)); fault != "" {
			return c.spoilRequest(p, i, m, fault)
		}
	}
	if c.twice.CompareAndSwap(true, false) {
		return c.sendTwice(p)
	}
	return c.send(p)
}

func (c *meddled) send(p *transport.Payload) error {
	err := c.Conn.Send(p)
	if c.once() {
		c.sent <- err
	}
	return err
}

// spoilRequest does to message i of p what its fault says.
func (c *meddled) spoilRequest(p *transport.Payload, i int, m head, fault string) error {
	switch fault {
	case "refused":
		c.d.refuse()
	case "reset before":
		c.d.cut()
	case "reset after", "wrong advice":
		c.reply.Store(&spoil{m.ID, fault})
		return c.send(p)
	case "hangs":
		return c.drop(p, i)
	case "half-open":
		c.d.sink()
	case "slow":
		time.Sleep(slow)
		return c.send(p)
	case "duplicated":
		return c.sendTwice(p)
	case "overtaken":
		c.sendLate(copyOf(p))
	case "402":
		c.d.expire()
		return c.send(p)
	case "500":
		c.answerInPlace(fmt.Appendf(nil, `[{"channel":%q,"id":%q,"successful":false,"error":"500::internal"}]`, m.Channel, m.ID))
	case "garbage":
		c.answerInPlace([]byte(`[{"\]`))
	}
	return nil
}

// drop sends p without message i. Of an exchange nothing arrives.
func (c *meddled) drop(p *transport.Payload, i int) error {
	if c.once() || len(p.Messages) == 1 {
		c.deaf.Store(c.once())
		return nil
	}
	rest := copyOf(p)
	rest.Messages = append(rest.Messages[:i], rest.Messages[i+1:]...)
	return c.send(rest)
}

func copyOf(p *transport.Payload) *transport.Payload {
	q := &transport.Payload{Kind: p.Kind}
	for _, m := range p.Messages {
		q.Messages = append(q.Messages, bytes.Clone(m))
	}
	return q
}

// sendTwice sends p once more. An exchange's second request is another one, of
// which the client knows nothing.
func (c *meddled) sendTwice(p *transport.Payload) error {
	if !c.once() {
		if err := c.send(p); err != nil {
			return err
		}
		return c.send(p)
	}
	q := copyOf(p)
	if err := c.send(p); err != nil {
		return err
	}
	other, err := c.d.Dialer.Dial(context.Background(), c.target)
	if err != nil {
		return err
	}
	if err := other.Send(q); err != nil {
		return err
	}
	c.d.late.Go(func() {
		defer other.Close(transport.Normal)
		if r, err := other.Receive(); err == nil {
			io.Copy(io.Discard, r)
		}
	})
	return nil
}

// sendLate sends p when others have overtaken it.
func (c *meddled) sendLate(p *transport.Payload) {
	if !c.once() {
		c.leave(func() { c.Conn.Send(p) })
		return
	}
	answered := c.d.next()
	c.d.late.Go(func() {
		select {
		case <-answered:
		case <-time.After(away):
		}
		c.send(p)
	})
}

// leave breaks a stream for its holder alone. The server knows nothing of it for
// a while, in the midst of which late runs.
func (c *meddled) leave(late func()) {
	c.detached.Store(true)
	c.Close(transport.Internal)
	c.d.late.Go(func() {
		time.Sleep(away)
		late()
		time.Sleep(away)
		c.Conn.Close(transport.Internal)
	})
}

// answerInPlace gives the answer of a server that has seen nothing.
func (c *meddled) answerInPlace(payload []byte) {
	if c.once() {
		c.sent <- nil
	}
	c.d.late.Go(func() {
		select {
		case c.in <- received{payload: payload}:
		case <-c.ctx.Done():
		}
	})
}
