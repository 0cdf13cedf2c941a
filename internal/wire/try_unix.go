//go:build unix && !js

package wire

import (
	"net"
	"sync"
	"syscall"
)

// bare gives the socket under nc, to be written without blocking, or nil: on
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

// A call carries one system call into the function that syscall.RawConn wants,
// which is made once and not per call.
type call struct {
	p   []byte
	n   int
	err error
	w   func(fd uintptr) bool
	r   func(fd uintptr) bool
}

var calls = sync.Pool{New: func() any {
	c := new(call)
	c.w, c.r = c.write, c.read
	return c
}}

// Both say true: what cannot be done now is not waited for.
func (c *call) write(fd uintptr) bool {
	for {
		if c.n, c.err = syscall.Write(int(fd), c.p); c.err != syscall.EINTR {
			return true
		}
	}
}

func (c *call) read(fd uintptr) bool {
	c.n, c.err = syscall.Read(int(fd), c.p)
	return true
}

// tryWrite writes p once. Less than all without an error: the kernel is full.
func tryWrite(raw syscall.RawConn, p []byte) (int, error) {
	c := calls.Get().(*call)
	c.p = p
	err := raw.Write(c.w)
	return c.result(err)
}

// tryRead reads once. Nothing without an error: nothing is there, or the end.
func tryRead(raw syscall.RawConn, p []byte) (int, error) {
	c := calls.Get().(*call)
	c.p = p
	err := raw.Read(c.r)
	return c.result(err)
}

func (c *call) result(err error) (int, error) {
	n, errno := max(c.n, 0), c.err
	c.p, c.n, c.err = nil, 0, nil
	calls.Put(c)
	if err == nil && errno != syscall.EAGAIN {
		err = errno // nil most of the time
	}
	return n, err
}
