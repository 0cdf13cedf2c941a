//go:build linux

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"syscall"
	"unsafe"
)

type role uint8

const (
	subscriber role = iota
	publisher
	poster  // the connection that carries a long-polling publisher's publishes
	visitor // lives one session and goes
)

type state uint8

const (
	handshaking state = iota // waits for the handshake's reply
	subscribing
	connecting // a visitor's first connect
	ready
	leaving // waits for the disconnect's reply
	closed
)

// A conn is one TCP connection.
type conn struct {
	fd       int
	tls      *tls.Conn // nil: none
	role     role
	state    state
	upgraded bool // to WebSocket
	busy     bool // a long-polling request waits for its response
	channel  int
	clientID string
	cookie   string
	id       int64  // of the last message sent
	last     int64  // number of the last message received
	rest     []byte // read, but not yet a whole frame or response
	out      []byte // what the kernel did not take
	fragment []byte
	poster   *conn // a long-polling publisher's other connection
}

// errAgain says that the kernel has, or takes, no more now. It is temporary, so
// that crypto/tls goes on afterwards.
var errAgain again

type again struct{}

func (again) Error() string   { return "would block" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// dial connects, and over TLS shakes hands too, which blocks all others: only
// the setup feels that.
func (l *load) dial(role role, channel int) (*conn, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := syscall.Connect(fd, &l.addr); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &conn{fd: fd, role: role, channel: channel, last: -1}
	if l.secure {
		if err := c.secure(); err != nil {
			syscall.Close(fd)
			return nil, err
		}
	}
	err = errors.Join(
		syscall.SetNonblock(fd, true),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.EpollCtl(l.ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}))
	for len(l.conns) <= fd {
		l.conns = append(l.conns, nil)
	}
	l.conns[fd] = c
	return c, err
}

func (l *load) close(c *conn) {
	if c.state == closed {
		return
	}
	c.state = closed
	l.conns[c.fd] = nil
	syscall.Close(c.fd)
}

// receive reads without waiting: errAgain means that there is nothing now.
func (c *conn) receive(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Read(p)
	}
	return read(c.fd, p)
}

// read and write are single system calls that the scheduler of this process
// need not hear of: they never block.
func read(fd int, p []byte) (int, error) {
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	switch {
	case e == syscall.EAGAIN:
		return 0, errAgain
	case e != 0:
		return 0, e
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}

func write(fd int, p []byte) (int, error) {
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	switch {
	case e == syscall.EAGAIN:
		return 0, errAgain
	case e != 0:
		return 0, e
	}
	return int(n), nil
}

// write sends p, now or when the kernel takes it.
func (l *load) write(c *conn, p []byte) {
	if c.state == closed {
		return
	}
	waiting := len(c.out) > 0
	if c.tls != nil {
		if _, err := c.tls.Write(p); err != nil { // into c.out
			l.fail(c, fmt.Errorf("write: %w", err))
			return
		}
	} else if waiting {
		c.out = append(c.out, p...)
	}
	switch {
	case waiting: // the loop writes when it can
	case c.tls != nil:
		p, c.out = c.out, nil
		l.push(c, p)
	default:
		l.push(c, p)
	}
}

// push writes p to the kernel and keeps what it does not take.
func (l *load) push(c *conn, p []byte) {
	for len(p) > 0 {
		n, err := write(c.fd, p)
		if err == errAgain {
			c.out = append(c.out, p...)
			l.watch(c, syscall.EPOLLIN|syscall.EPOLLOUT)
			return
		}
		if err != nil {
			l.fail(c, fmt.Errorf("write: %w", err))
			return
		}
		p = p[n:]
	}
}

func (l *load) watch(c *conn, events uint32) {
	err := syscall.EpollCtl(l.ep, syscall.EPOLL_CTL_MOD, c.fd, &syscall.EpollEvent{Events: events, Fd: int32(c.fd)})
	if err != nil {
		l.fail(c, fmt.Errorf("epoll: %w", err))
	}
}
