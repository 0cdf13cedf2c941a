package fault

import (
	"errors"
	"net"
	"sync"
	"time"
)

// ErrCut is what the holder of a connection finds that was cut.
var ErrCut = errors.New("fault: the connection was cut")

// A conn is a net.Conn with faults.
type conn struct {
	net.Conn
	in, out *lane

	reading sync.Mutex
	again   []byte // to be read once more

	writing sync.Mutex
	once    sync.Once
	closed  chan struct{}
	half    chan struct{} // closed when the connection is half-open
	halved  sync.Once
}

// NewConn puts steps between nc and its holder. Read, Write, deadlines and
// Close work as those of nc do; a Stall ends with the deadline too.
func NewConn(nc net.Conn, steps ...Step) net.Conn { return newConn(nc, steps) }

func newConn(nc net.Conn, steps []Step) *conn {
	return &conn{
		Conn: nc, in: newLane(steps, In), out: newLane(steps, Out),
		closed: make(chan struct{}), half: make(chan struct{}),
	}
}

func (c *conn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if len(c.again) > 0 {
		n := copy(b, c.again)
		c.again = c.again[n:]
		return n, nil
	}
	p := c.in.next(len(b))
	if err := c.admit(c.in, p); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b[:p.size])
	c.in.passed += n
	if c.isHalf() { // it came, or the other end left, while Read waited
		return 0, c.in.wait(time.Now().Add(forever), c.closed)
	}
	if n > 0 && c.in.late > 0 {
		if err := c.in.wait(time.Now().Add(c.in.late), c.closed); err != nil {
			c.again = append(c.again, b[:n]...)
			return 0, err
		}
	}
	p.spoil(b[:n])
	if p.twice {
		c.again = append(c.again, b[:n]...)
	}
	return n, err
}

func (c *conn) Write(b []byte) (written int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for len(b) > 0 {
		p := c.out.next(len(b))
		if err := c.admit(c.out, p); err != nil {
			return written, err
		}
		if !c.isHalf() {
			if err := c.pass(b[:p.size], p); err != nil {
				return written, err
			}
		}
		c.out.passed += p.size
		written += p.size
		b = b[p.size:]
	}
	return written, nil
}

// pass writes one piece, changed as p says; b is the caller's.
func (c *conn) pass(b []byte, p piece) error {
	if p.flip || p.swapped {
		b = append([]byte(nil), b...)
		p.spoil(b)
	}
	if p.twice {
		b = append(append([]byte(nil), b...), b...)
	}
	_, err := c.Conn.Write(b)
	return err
}

// admit cuts, or waits until a piece may pass.
func (c *conn) admit(l *lane, p piece) error {
	if p.cut {
		c.cut()
		return ErrCut
	}
	if l.lost {
		c.lose()
	}
	if c.isHalf() && l == c.in {
		return l.wait(time.Now().Add(forever), c.closed)
	}
	return l.wait(l.until, c.closed)
}

// lose makes the connection half-open.
func (c *conn) lose() { c.halved.Do(func() { close(c.half) }) }

func (c *conn) isHalf() bool {
	select {
	case <-c.half:
		return true
	default:
		return false
	}
}

// cut resets the connection, where that can be done.
func (c *conn) cut() {
	if t, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		t.SetLinger(0)
	}
	c.Close()
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(t)
	c.out.setDeadline(t)
	return c.Conn.SetDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(t)
	return c.Conn.SetWriteDeadline(t)
}
