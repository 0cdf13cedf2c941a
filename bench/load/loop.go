//go:build linux

package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

// delayed is a connect that waits for the advised interval.
type delayed struct {
	at time.Time
	c  *conn
}

var events [512]syscall.EpollEvent

// poll lets connections act on what has happened on them. Without -sleep it
// does not wait for it.
func (l *load) poll(wait time.Duration) error {
	n, err := l.wait(wait)
	if err != nil {
		return fmt.Errorf("epoll_wait: %w", err)
	}
	l.now = time.Now().UnixNano()
	for i, ev := range events[:n] {
		if i%16 == 15 {
			l.now = time.Now().UnixNano()
		}
		if c := l.conns[ev.Fd]; c != nil {
			l.serve(c, ev.Events)
		}
	}
	for len(l.later) > 0 && !time.Now().Before(l.later[0].at) {
		c := l.later[0].c
		l.later = l.later[1:]
		l.connect(c)
	}
	return l.err
}

// wait asks epoll for events: with -sleep until there are some, else it does not
// wait at all, and the scheduler of this process need not hear of it.
func (l *load) wait(wait time.Duration) (n int, err error) {
	if l.sleep {
		n, err = syscall.EpollWait(l.ep, events[:], int(wait.Milliseconds()))
	} else {
		r, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		if e != 0 {
			r, err = 0, e
		}
		n = int(r)
	}
	if errors.Is(err, syscall.EINTR) {
		return 0, nil
	}
	return n, err
}

func (l *load) serve(c *conn, events uint32) {
	if events&syscall.EPOLLOUT != 0 && len(c.out) > 0 {
		p := c.out
		c.out = nil
		l.watch(c, syscall.EPOLLIN)
		l.push(c, p)
	}
	if events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		l.read(c)
	}
}

// read takes what has come on c, and acts on each whole frame or response.
func (l *load) read(c *conn) {
	for c.state != closed {
		kept := copy(l.buf, c.rest)
		if kept == len(l.buf) {
			l.fail(c, fmt.Errorf("a frame or response of more than %d bytes", kept))
			return
		}
		n, err := c.receive(l.buf[kept:])
		if err != nil {
			l.stopped(c, err)
			return
		}
		l.reads++
		l.bytes += int64(n)
		whole := l.buf[:kept+n]
		c.rest = append(c.rest[:0], l.parse(c, whole)...)
		if len(c.rest) == 0 && cap(c.rest) > 4096 {
			c.rest = nil
		}
		// What TLS has decrypted, epoll does not tell.
		if c.tls == nil && len(whole) < len(l.buf) {
			return
		}
	}
}

// stopped is told why nothing more could be read.
func (l *load) stopped(c *conn, err error) {
	switch {
	case errors.Is(err, errAgain):
	case c.state == leaving:
		l.left(c)
	default:
		l.fail(c, fmt.Errorf("the server closed a connection in state %d: %w", c.state, err))
	}
}

// parse consumes whole frames or responses, and returns the rest.
func (l *load) parse(c *conn, b []byte) (rest []byte) {
	for len(b) > 0 && c.state != closed {
		var used int
		if c.upgraded {
			used = l.frameFrom(c, b)
		} else {
			used = l.responseFrom(c, b)
		}
		if used == 0 {
			break
		}
		b = b[used:]
	}
	return b
}
