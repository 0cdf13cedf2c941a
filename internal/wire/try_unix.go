//go:build unix && !js

package wire

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// bare gives the socket under nc, to be used without blocking, or nil: on
// TLS, or through somebody's wrapper, no byte must go past it.
func bare(nc net.Conn) syscall.RawConn {
	var c syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		c = nc
	case *net.UnixConn:
		c = nc
	default:
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// A call carries one write into the function that syscall.RawConn wants, which
// is made once and not per call.
type call struct {
	p   []byte
	n   int
	err error
	w   func(fd uintptr) bool
}

var calls = sync.Pool{New: func() any {
	c := new(call)
	c.w = c.write
	return c
}}

// write says true: what cannot be done now is not waited for.
func (c *call) write(fd uintptr) bool {
	for {
		if c.n, c.err = syscall.Write(int(fd), c.p); c.err != syscall.EINTR {
			return true
		}
	}
}

// tryWrite writes p once. Less than all without an error: the kernel is full.
func tryWrite(raw syscall.RawConn, p []byte) (int, error) {
	c := calls.Get().(*call)
	c.p = p
	err := raw.Write(c.w)
	n, errno := max(c.n, 0), c.err
	c.p, c.n, c.err = nil, 0, nil
	calls.Put(c)
	if err == nil && errno != syscall.EAGAIN {
		err = errno // nil most of the time
	}
	return n, err
}

// attempt reads once, and says false to be called again when there is more.
func (a *ahead) attempt(fd uintptr) bool {
	lent := aheads.Get().(*[aheadSize]byte)
	for {
		n, err := syscall.Read(int(fd), lent[:])
		switch {
		case n > 0:
			a.b, a.lent = lent[:n], lent
			return true
		case err == syscall.EINTR:
			continue
		case err == nil:
			err = io.EOF
		}
		aheads.Put(lent)
		if err == syscall.EAGAIN {
			a.pace.waited = true
			return false
		}
		a.err = err
		return true
	}
}
