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

// Client makes the extension for one client; each needs its own, and a second one
// panics. It acknowledges what arrives, not what subscribers have handled; for that
// there is package replay. With a server that does not know the extension it does
// nothing.
func Client() client.Extension {
	x := &extension{seed: maphash.MakeSeed(), session: &session{began: true}}
	return client.Extension{
		Name:     "ack",
		Requests: []string{bayeux.MetaHandshake, bayeux.MetaConnect, Channel},
		Opened:   x.opened,
		Session:  x.begins,
		Outgoing: x.outgoing,
		Incoming: x.incoming,
		Recovers: x.recovers,
	}
}

type extension struct {
	client *client.Client
	seed   maphash.Seed

	mu      lock.Mutex[lock.Ack]
	session *session // the one that the last handshake or connect was about
	other   *session // while it is open which of the two goes on
	connect string   // the id of the last one that was sent
}

// A session is what has come in one. One that was made while the connection of
// another was broken may come to nothing: the other one then goes on.
type session struct {
	Receiver
	id       string
	began    bool // it has taken the place of the one before
	bytes    int  // of events since the last acknowledgement
	messages int  // likewise
	telling  bool // an acknowledgement is under way
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
	if m.Channel == Channel {
		return x.number(m)
	}
	x.goOn(m.ClientID)
	s := x.session
	if on, _ := s.Enabled(); !on {
		return nil
	}
	s.bytes, s.messages, s.telling, x.connect = 0, 0, false, m.ID
	return m.Ext.Set(Name, s.Connect())
}

// number gives an acknowledgement the number of now: it may have waited, and its
// session be over. The caller holds mu.
func (x *extension) number(m *bayeux.Message) error {
	if _, numbers := x.session.Enabled(); !numbers {
		return errOld
	}
	m.Data = strconv.AppendUint(nil, x.session.have, 10)
	return nil
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
			x.shaken(m.ClientID, ParseAnswer(m.Ext))
		}
		return nil
	case bayeux.MetaConnect:
		x.batch(m)
		return nil
	}
	reply := m.Data == nil && m.Outcome != bayeux.NoOutcome
	switch {
	case m.Channel == Channel && reply:
		x.told(m.Outcome == bayeux.Succeeded)
		return nil
	case bayeux.Channel(m.Channel).Kind() == bayeux.Meta || reply:
		return nil
	case m.Channel == Channel && x.mark(m):
		return errMark
	}
	fresh, tell := x.event(m)
	x.tell(tell)
	if !fresh {
		return errRepeated
	}
	return nil
}

// shaken notes a session that was made.
func (x *extension) shaken(id string, a Answer) {
	s := &session{id: id}
	s.Begin(a)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.session.began {
		x.other = x.session
	}
	x.session = s
}

// begins is told which session goes on, and that no other one will.
func (x *extension) begins(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.goOn(id)
	x.session.began, x.other = true, nil
}

// goOn makes the session of that id the one at hand. The caller holds mu.
func (x *extension) goOn(id string) {
	if x.session.id != id && x.other != nil && x.other.id == id {
		x.session, x.other = x.other, x.session
	}
}

func (x *extension) batch(m *bayeux.Message) {
	n, err := strconv.ParseUint(string(m.Ext[Name]), 10, 64)
	x.mu.Lock()
	defer x.mu.Unlock()
	switch stray := m.ID != "" && m.ID != x.connect; {
	case err != nil && (stray || m.Outcome != bayeux.Succeeded):
	case err != nil:
		x.session.Unnumbered()
	case stray:
		x.session.Stray()
	default:
		x.session.Batch(n)
	}
}

// mark reports whether m tells the number of the next event.
func (x *extension) mark(m *bayeux.Message) bool {
	n, err := strconv.ParseUint(string(m.Data), 10, 64)
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, numbers := x.session.Enabled(); !numbers || err != nil {
		return false
	}
	x.session.Mark(n)
	return true
}

// event counts an event. tell is what should be acknowledged now, if anything.
func (x *extension) event(m *bayeux.Message) (fresh bool, tell uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.session
	enabled, numbers := s.Enabled()
	if !numbers {
		return !enabled || s.Event(x.fingerprint(m)), 0
	}
	fresh = s.Event(0)
	s.bytes += len(m.Channel) + len(m.Data) + len(`{"channel":"","data":}`)
	s.messages++
	return fresh, s.due()
}

// due is what is to be acknowledged now, 0 if nothing is.
func (s *session) due() uint64 {
	over := s.answer.Window > 0 && s.bytes >= s.answer.Window || s.answer.Messages > 0 && s.messages >= s.answer.Messages
	if !over || s.telling {
		return 0
	}
	s.bytes, s.messages, s.telling = 0, 0, true
	return s.have
}

// tell acknowledges between two connects, unless n is 0; one such message is under
// way at a time. If it cannot be sent, or its reply stays out, the next connect
// does it.
func (x *extension) tell(n uint64) {
	if n == 0 {
		return
	}
	if err := x.client.PublishFunc(Channel, n, nil); err != nil {
		x.told(false)
	}
}

// told notes the reply to an acknowledgement. It comes from the reader: who blocks
// a function that waits for a publish does not hold it up.
func (x *extension) told(ok bool) {
	x.mu.Lock()
	x.session.telling = false
	n := uint64(0)
	if ok {
		n = x.session.due()
	}
	x.mu.Unlock()
	x.tell(n)
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
	s := x.session
	if !s.began {
		s = x.other
	}
	enabled, _ := s.Enabled()
	return enabled && !newSession
}
