//go:build linux

package main

import (
	"fmt"
	"strconv"
)

// A dialect is what is spoken to the server.
type dialect interface {
	path(c *conn) string // for the upgrade to WebSocket
	opened(c *conn)      // the upgrade is done

	// heard acts on a payload, which has so many marked messages in it.
	heard(c *conn, payload []byte, marked int)

	// append appends a payload of publishes by c, each with the data that
	// load.appendData makes.
	append(dst []byte, c *conn, publishes int) []byte

	// leave ends the session of c; nothing must be left of it at the server.
	leave(c *conn) error
}

func newDialect(l *load) (dialect, error) {
	switch l.proto {
	case "bayeux":
		return bayeux{l}, nil
	case "centrifuge":
		return centrifuge{l}, nil
	case "hub":
		return hub{l}, nil
	}
	return nil, fmt.Errorf("-proto is %q, want bayeux, centrifuge or hub", l.proto)
}

// start begins a session on a connection.
func (l *load) start(c *conn) {
	if l.http {
		l.dialect.opened(c)
		return
	}
	l.upgrade(c)
}

func (l *load) heard(c *conn, payload []byte) {
	marked := l.scan(c, payload)
	if marked > 0 {
		l.frames++
	}
	l.dialect.heard(c, payload, marked)
}

// settled is told that the session of c is set up.
func (l *load) settled(c *conn) {
	if c.role == visitor {
		l.left(c)
		return
	}
	c.state = ready
	l.ready++
}

// left is told that the session of c has ended well.
func (l *load) left(c *conn) {
	l.close(c)
	l.completed++
}

// hub is no protocol at all: what arrives from a publisher is delivered. The
// roles are in the query.
type hub struct{ *load }

func (h hub) path(c *conn) string {
	role := "sub"
	if c.role == publisher {
		role = "pub"
	}
	return fmt.Sprintf("%s?role=%s&ch=%d", h.load.path, role, c.channel)
}

func (h hub) opened(c *conn) { h.settled(c) }

func (h hub) heard(*conn, []byte, int) {}

func (h hub) append(dst []byte, c *conn, publishes int) []byte {
	dst = append(dst, '[')
	for i := range publishes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"channel":"/bench/`...)
		dst = strconv.AppendInt(dst, int64(c.channel), 10)
		dst = append(dst, `","data":`...)
		dst = h.appendData(dst, c.channel)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func (h hub) leave(c *conn) error {
	h.close(c)
	return nil
}
