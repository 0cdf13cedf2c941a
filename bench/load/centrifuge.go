//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// centrifuge is its JSON protocol over WebSocket, one command a line.
type centrifuge struct{ *load }

func (f centrifuge) path(*conn) string { return f.load.path }

func (f centrifuge) opened(c *conn) {
	f.frame(c, opText, []byte(`{"id":1,"connect":{}}`))
}

func (f centrifuge) heard(c *conn, payload []byte, marked int) {
	switch {
	case marked > 0:
	case string(bytes.TrimSpace(payload)) == "{}": // its ping
		f.frame(c, opText, []byte("{}"))
	case bytes.Contains(payload, []byte(`"error"`)):
		f.fail(c, fmt.Errorf("refused: %s", payload))
	case c.state == handshaking && c.role == publisher:
		f.settled(c)
	case c.state == handshaking:
		c.state = subscribing
		f.frame(c, opText, fmt.Appendf(nil, `{"id":2,"subscribe":{"channel":"bench%d"}}`, c.channel))
	case c.state == subscribing:
		f.settled(c)
	}
}

func (f centrifuge) append(dst []byte, c *conn, publishes int) []byte {
	for i := range publishes {
		if i > 0 {
			dst = append(dst, '\n')
		}
		c.id++
		dst = append(dst, `{"id":`...)
		dst = strconv.AppendInt(dst, c.id+2, 10)
		dst = append(dst, `,"publish":{"channel":"bench`...)
		dst = strconv.AppendInt(dst, int64(c.channel), 10)
		dst = append(dst, `","data":`...)
		dst = f.appendData(dst, c.channel)
		dst = append(dst, "}}"...)
	}
	return dst
}

func (f centrifuge) leave(c *conn) error {
	f.close(c)
	return nil
}
