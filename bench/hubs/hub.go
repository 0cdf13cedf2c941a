package main

import (
	"encoding/binary"
	"net/url"
	"slices"
	"sync"
)

// A message is a payload, a JSON array, and the whole server frame that has it.
type message struct{ payload, frame []byte }

// A subscriber is sent every message of its channel. Nobody but the connection's
// own reader notices that a send has failed.
type subscriber interface{ send(message) }

type hub struct {
	opt   string
	blast int // messages in a frame; 0: it is a hub

	mu       sync.Mutex
	channels map[string]*channel
}

type channel struct {
	mu   sync.Mutex
	subs []subscriber // replaced, never changed: publishers walk it without the lock
}

func newHub(opt string) *hub { return &hub{opt: opt, channels: map[string]*channel{}} }

// join says which role a connection has, and on which channel.
func (h *hub) join(query url.Values) (ch *channel, publishes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := query.Get("ch")
	ch = h.channels[name]
	if ch == nil {
		ch = new(channel)
		h.channels[name] = ch
	}
	return ch, query.Get("role") == "pub"
}

func (c *channel) add(s subscriber) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs = append(c.subs, s) // beyond the length that a publisher sees
}

func (c *channel) remove(s subscriber) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.subs, s); i >= 0 {
		c.subs = append(c.subs[:i:i], c.subs[i+1:]...)
	}
}

// publish sends payload, which nobody changes any more, to all subscribers.
func (c *channel) publish(payload []byte) {
	m := message{payload, appendFrame(make([]byte, 0, len(payload)+10), payload)}
	c.mu.Lock()
	subs := c.subs
	c.mu.Unlock()
	for _, s := range subs {
		s.send(m)
	}
}

func appendFrame(dst, payload []byte) []byte {
	dst = append(dst, 0x81) // a whole text message
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}
