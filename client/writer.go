package client

import (
	"strconv"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// A writer encodes requests into payloads. It keeps its buffers from payload to
// payload, so it belongs to one goroutine.
type writer struct {
	buf      []byte
	ends     []int
	messages [][]byte
	requests []*request
}

// send encodes rs, remembers them as pending, and sends them. Those that an
// extension deleted, or that were withdrawn, are settled and not sent; if none is
// left, it reports that there is no answer to wait for.
func (w *writer) send(l *link, conn transport.Conn, rs []*request) (sent bool, err error) {
	w.buf, w.ends, w.requests = w.buf[:0], w.ends[:0], w.requests[:0]
	id := l.c.identity()
	for _, r := range rs {
		b, err := l.c.encode(w.buf, r, id)
		if err != nil {
			l.c.settle(r, nil, err)
			continue
		}
		w.buf = b
		w.ends = append(w.ends, len(b))
		w.requests = append(w.requests, r)
	}
	w.messages = w.messages[:0]
	start := 0
	for _, end := range w.ends {
		w.messages = append(w.messages, w.buf[start:end:end])
		start = end
	}
	for _, r := range l.expect(conn, &w.requests, &w.messages) {
		l.c.settle(r, nil, withdrawn(r))
	}
	if len(w.requests) == 0 {
		return false, nil
	}
	p := transport.Payload{Messages: w.messages}
	if len(w.requests) == 1 {
		p.Kind = w.requests[0].kind
	}
	l.c.count.sent.Add(uint64(len(w.messages)))
	if f := l.c.cfg.hooks.Sent; f != nil {
		f(l.typ(), len(w.messages), p.Len())
	}
	err = conn.Send(&p)
	clear(w.requests)
	return true, err
}

// encode appends one request for the session id.
func (c *Client) encode(dst []byte, r *request, id identity) ([]byte, error) {
	stages := c.cfg.outgoing(r.channel)
	if r.m == nil && len(stages) == 0 {
		return appendPublish(dst, r, id.quoted), nil
	}
	m := c.message(r, id.id)
	if err := pass(r.ctx, m, stages); err != nil {
		return nil, err
	}
	return codec.AppendMessage(dst, m)
}

// message is a request as extensions see it: theirs to change, also when it is
// sent again.
func (c *Client) message(r *request, id string) *bayeux.Message {
	m := &bayeux.Message{Channel: r.channel}
	if r.m != nil {
		m = r.m.Clone()
	} else {
		m.Data = r.data.AppendTo(nil)
	}
	m.ID = strconv.FormatUint(r.id, 10)
	if r.kind != transport.Handshake {
		m.ClientID = id
	}
	return m
}

// appendPublish is codec.AppendMessage for the request that there are most of.
// An id is letters and digits by the handshake's reply, quoted for JSON once.
func appendPublish(dst []byte, r *request, quoted codec.Raw) []byte {
	dst = codec.AppendEvent(dst, r.channel, r.data)
	dst = append(dst[:len(dst)-1], `,"id":"`...)
	dst = strconv.AppendUint(dst, r.id, 10)
	dst = append(dst, `","clientId":`...)
	dst = quoted.AppendTo(dst)
	return append(dst, '}')
}
