// Package webtest has peers of a web server that do not do what clients do, and
// a network in memory where nothing that they leave unread is taken. It is for
// tests.
package webtest

import (
	"net"
	"sync"
)

// Pipes is a network in memory: a Write on it lasts until the other end has read
// all of it. It is a net.Listener.
type Pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	closing  sync.Once
}

// NewPipes makes one.
func NewPipes() *Pipes {
	return &Pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to whoever accepts.
func (p *Pipes) Dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accepted <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Accept waits for Dial.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (p *Pipes) Close() error {
	p.closing.Do(func() { close(p.closed) })
	return nil
}

// Addr is of the loopback.
func (p *Pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
