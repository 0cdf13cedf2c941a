//go:build linux

package main

import (
	"encoding/binary"
	"errors"
)

const (
	opContinuation = 0
	opText         = 1
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

func (l *load) upgrade(c *conn) {
	l.write(c, []byte("GET "+l.dialect.path(c)+" HTTP/1.1\r\nHost: "+l.host+
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"))
}

// frame writes one frame. Its mask is zero: nothing to compute here, and the
// same work as ever for the server.
func (l *load) frame(c *conn, op byte, payload []byte) {
	const masked = 0x80
	w := append(l.wbuf[:0], 0x80|op)
	switch n := len(payload); {
	case n < 126:
		w = append(w, masked|byte(n))
	case n < 1<<16:
		w = binary.BigEndian.AppendUint16(append(w, masked|126), uint16(n))
	default:
		w = binary.BigEndian.AppendUint64(append(w, masked|127), uint64(n))
	}
	w = append(w, 0, 0, 0, 0)
	w = append(w, payload...)
	l.wbuf = w
	l.write(c, w)
}

// frameFrom consumes one frame. It returns 0 when b has not all of it.
func (l *load) frameFrom(c *conn, b []byte) int {
	head, size, ok := frameSize(b)
	if !ok || len(b) < head+size {
		return 0
	}
	final, op, payload := b[0]&0x80 != 0, b[0]&0xf, b[head:head+size]
	switch {
	case op == opPing:
		l.frame(c, opPong, payload)
	case op == opPong:
	case op == opClose && c.state == leaving:
		l.left(c)
	case op == opClose:
		l.fail(c, errors.New("the server sent a close frame"))
	case final && op != opContinuation:
		l.heard(c, payload)
	default:
		c.fragment = append(c.fragment, payload...)
		if final {
			whole := c.fragment
			c.fragment = nil
			l.heard(c, whole)
		}
	}
	return head + size
}

// frameSize is that of the frame's head and of its payload.
func frameSize(b []byte) (head, size int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch n := b[1] & 0x7f; {
	case n < 126:
		return 2, int(n), true
	case n == 126 && len(b) >= 4:
		return 4, int(binary.BigEndian.Uint16(b[2:])), true
	case n == 127 && len(b) >= 10:
		return 10, int(binary.BigEndian.Uint64(b[2:])), true
	}
	return 0, 0, false
}
