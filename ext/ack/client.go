package ack

import (
	"context"
	"errors"
	"hash/maphash"
	"strconv"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/internal/lock"
)

// Client makes the extension for one client; each needs its own. It acknowledges what arrives, not
// what subscribers have handled; for that there is package replay. With a
// server that does not know the extension it does nothing.
func Client() client.Extension {
	x := &extension{seed: maphash.MakeSeed()}
	return client.Extension{
		Name:     "ack",
		Requests: []string{bayeux.MetaHandshake, bayeux.MetaConnect, Channel},
		Opened:   x.opened,
		Outgoing: x.outgoing,
		Incoming: x.incoming,
		Recovers: x.recovers,
	}
}

type extension struct {
	client *client.Client
	seed   maphash.Seed

	mu       lock.Mutex[lock.Ack]
	receiver Receiver
	connect  string // the id of the last one that was sent
	bytes    int    // of events since the last acknowledgement
	messages int    // likewise
	telling  bool   // an acknowledgement is under way
}

func (x *extension) opened(c *client.Client) {
	if x.client != nil {
		panic("ack: one extension for two clients: call Client for each")
	}
	x.client = c
}

func (x *extension) outgoing(_ context.Context, m *bayeux.Message) error {
	if m.Channel == bayeux.MetaHandshake {
		return Offer(&m.Ext)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	on, numbers := x.receiver.Enabled()
	switch {
	case m.Channel == Channel && !numbers:
		return errOld
	case m.Channel == Channel: // the number of now: it may have waited, and its session be over
		m.Data = strconv.AppendUint(nil, x.receiver.have, 10)
		return nil
	case !on:
		return nil
	}
	x.bytes, x.messages, x.connect = 0, 0, m.ID
	return m.Ext.Set(Name, x.receiver.Connect())
}

// errOld keeps an acknowledgement from a session that has none.
var errOld = errors.New("ack: the session that it was for is over")

// What Incoming deletes.
var (
	errRepeated = errors.New("ack: the event has come before")
	errMark     = errors.New("ack: not an event")
)

func (x *extension) incoming(_ context.Context, m *bayeux.Message) error {
	switch m.Channel {
	case bayeux.MetaHandshake:
		if m.Outcome == bayeux.Succeeded {
			x.begin(ParseAnswer(m.Ext))
		}
		return nil
	case bayeux.MetaConnect:
		x.batch(m)
		return nil
	}
	if bayeux.Channel(m.Channel).Kind() == bayeux.Meta || m.Data == nil && m.Outcome != bayeux.NoOutcome {
		return nil // a reply
	}
	if m.Channel == Channel && x.mark(m) {
		return errMark
	}
	fresh, tell := x.event(m)
	if tell > 0 {
		x.tell(tell)
	}
	if !fresh {
		return errRepeated
	}
	return nil
}

func (x *extension) begin(a Answer) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.receiver.Begin(a)
	x.bytes, x.messages = 0, 0
}

func (x *extension) batch(m *bayeux.Message) {
	n, err := strconv.ParseUint(string(m.Ext[Name]), 10, 64)
	if err != nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if m.ID != "" && m.ID != x.connect {
		x.receiver.Stray()
	} else {
		x.receiver.Batch(n)
	}
}

// mark reports whether m tells the number of the next event.
func (x *extension) mark(m *bayeux.Message) bool {
	n, err := strconv.ParseUint(string(m.Data), 10, 64)
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, numbers := x.receiver.Enabled(); !numbers || err != nil {
		return false
	}
	x.receiver.Mark(n)
	return true
}

// event counts an event. tell is what should be acknowledged now, if anything.
func (x *extension) event(m *bayeux.Message) (fresh bool, tell uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := &x.receiver
	enabled, numbers := r.Enabled()
	if !numbers {
		return !enabled || r.Event(x.fingerprint(m)), 0
	}
	fresh = r.Event(0)
	x.bytes += len(m.Channel) + len(m.Data) + len(`{"channel":"","data":}`)
	x.messages++
	return fresh, x.due()
}

// due is what is to be acknowledged now, 0 if nothing is. The caller holds mu.
func (x *extension) due() uint64 {
	a := &x.receiver.answer
	over := a.Window > 0 && x.bytes >= a.Window || a.Messages > 0 && x.messages >= a.Messages
	if !over || x.telling {
		return 0
	}
	x.bytes, x.messages, x.telling = 0, 0, true
	return x.receiver.have
}

// tell acknowledges between two connects; one such message is under way at a
// time. If it cannot be sent the next connect does it.
func (x *extension) tell(n uint64) {
	if err := x.client.PublishFunc(Channel, n, x.told); err != nil {
		x.mu.Lock()
		x.telling = false
		x.mu.Unlock()
	}
}

func (x *extension) told(err error) {
	x.mu.Lock()
	x.telling = false
	n := uint64(0)
	if err == nil {
		n = x.due()
	}
	x.mu.Unlock()
	if n > 0 {
		x.tell(n)
	}
}

func (x *extension) fingerprint(m *bayeux.Message) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	h.WriteString(m.Channel)
	h.WriteByte(0)
	h.WriteString(m.ID)
	h.WriteByte(0)
	h.Write(m.Data)
	return h.Sum64()
}

// recovers says that a break which the session survives is no gap.
func (x *extension) recovers(_ string, newSession bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	enabled, _ := x.receiver.Enabled()
	return enabled && !newSession
}
