//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

var (
	metaMark       = []byte(`"/meta/`)
	failedMark     = []byte(`"successful":false`)
	subscribeMark  = []byte(`"/meta/subscribe"`)
	connectMark    = []byte(`"/meta/connect"`)
	disconnectMark = []byte(`"/meta/disconnect"`)
)

type bayeux struct{ *load }

func (b bayeux) path(*conn) string { return b.load.path }

func (b bayeux) transport() string {
	if b.http {
		return "long-polling"
	}
	return "websocket"
}

func (b bayeux) send(c *conn, kind string, payload []byte) {
	if b.http {
		b.post(c, kind, payload)
		return
	}
	b.frame(c, opText, payload)
}

func (b bayeux) opened(c *conn) {
	b.send(c, "handshake", []byte(`[{"id":"1","channel":"/meta/handshake","version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["`+b.transport()+`"]}]`))
}

// connect is asked for by the loop, too, after an interval.
func (l *load) connect(c *conn) {
	b := bayeux{l}
	c.id++
	advice := ""
	if c.role == visitor {
		advice = `,"advice":{"timeout":0}`
	}
	b.send(c, "connect", fmt.Appendf(nil, `[{"id":"%d","channel":"/meta/connect","connectionType":"%s","clientId":"%s"%s}]`, c.id, b.transport(), c.clientID, advice))
}

func (b bayeux) subscribe(c *conn) {
	c.id++
	b.send(c, "subscribe", fmt.Appendf(nil, `[{"id":"%d","channel":"/meta/subscribe","subscription":"/bench/%d","clientId":"%s"}]`, c.id, c.channel, c.clientID))
}

func (b bayeux) disconnect(c *conn, clientID string) {
	c.id++
	c.state = leaving
	b.send(c, "disconnect", fmt.Appendf(nil, `[{"id":"%d","channel":"/meta/disconnect","clientId":"%s"}]`, c.id, clientID))
}

func (b bayeux) heard(c *conn, payload []byte, marked int) {
	if marked > 0 && !bytes.Contains(payload, metaMark) {
		return
	}
	if bytes.Contains(payload, failedMark) {
		b.fail(c, fmt.Errorf("refused: %s", payload))
		return
	}
	switch c.state {
	case handshaking:
		b.welcomed(c, payload)
	case subscribing:
		if bytes.Contains(payload, subscribeMark) {
			b.subscribed(c)
		}
	case connecting:
		if bytes.Contains(payload, connectMark) {
			b.disconnect(c, c.clientID)
		}
	case ready:
		if bytes.Contains(payload, connectMark) {
			b.connected(c, payload)
		}
	case leaving:
		if bytes.Contains(payload, disconnectMark) {
			b.left(c)
		}
	}
}

func (b bayeux) welcomed(c *conn, payload []byte) {
	c.clientID = field(payload, "clientId")
	switch {
	case c.clientID == "":
		b.fail(c, fmt.Errorf("handshake: %s", payload))
	case c.role == publisher:
		b.connect(c)
		b.settled(c)
	default:
		c.state = subscribing
		b.subscribe(c)
	}
}

func (b bayeux) subscribed(c *conn) {
	b.connect(c)
	if c.role == visitor {
		c.state = connecting
		return
	}
	b.settled(c)
}

// connected is told of a connect's reply; the next one goes out, after the
// interval if one is advised.
func (b bayeux) connected(c *conn, payload []byte) {
	b.connectReplies++
	ms, err := strconv.Atoi(field(payload, "interval"))
	if err == nil && ms > 0 {
		b.later = append(b.later, delayed{time.Now().Add(time.Duration(ms) * time.Millisecond), c})
		return
	}
	b.connect(c)
}

func (b bayeux) append(dst []byte, c *conn, publishes int) []byte {
	dst = append(dst, '[')
	for i := range publishes {
		if i > 0 {
			dst = append(dst, ',')
		}
		c.id++
		dst = append(dst, `{"channel":"/bench/`...)
		dst = strconv.AppendInt(dst, int64(c.channel), 10)
		dst = append(dst, `","id":"`...)
		dst = strconv.AppendInt(dst, c.id, 10)
		dst = append(dst, `","clientId":"`...)
		dst = append(dst, c.clientID...)
		dst = append(dst, `","data":`...)
		dst = b.appendData(dst, c.channel)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// leave disconnects, for long-polling on another connection than the held
// connect's.
func (b bayeux) leave(c *conn) error {
	to := c
	if b.http {
		other, err := b.dial(visitor, c.channel)
		if err != nil {
			return err
		}
		other.cookie = c.cookie
		c.state, to = leaving, other
	}
	b.disconnect(to, c.clientID)
	return nil
}

// field is the value of the first such field in the payload, "" without one.
func field(payload []byte, name string) string {
	_, after, ok := bytes.Cut(payload, []byte(`"`+name+`"`))
	if !ok {
		return ""
	}
	after = bytes.TrimLeft(after, " :")
	if text, quoted := bytes.CutPrefix(after, []byte(`"`)); quoted {
		text, _, _ = bytes.Cut(text, []byte(`"`))
		return string(text)
	}
	if end := bytes.IndexAny(after, ",}"); end >= 0 {
		return string(after[:end])
	}
	return ""
}
