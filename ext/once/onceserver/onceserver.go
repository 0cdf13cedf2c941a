// Package onceserver is the server's half of package once: a publish that a
// client sends again is taken once, and answered as it was the first time, be
// that a refusal.
//
//	srv, err := cometd.NewServer(server.WithExtension(onceserver.New()))
//
// It remembers the last [Publishes] of each of the last [Clients] that sent
// keys, and costs each publish a look.
package onceserver

import (
	"container/list"
	"context"
	"sync"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/once"
	"github.com/gocometd/cometd/server"
)

// What is remembered. A publish that is older than that is taken again.
const (
	Publishes = 1024   // of one client
	Clients   = 10_000 // of the whole server
)

// New makes the extension for one server.
func New() server.Extension {
	x := &extension{clients: map[string]*list.Element{}, asked: server.NewAttr[*asked]("once")}
	return server.Extension{Name: "once", Incoming: x.incoming, Outgoing: x.outgoing}
}

type extension struct {
	asked *server.Attr[*asked]

	mu      sync.Mutex
	clients map[string]*list.Element
	recent  list.List // of *memory, the client that was heard last in front
}

// A memory is what is known of one client's publishes.
type memory struct {
	client string
	order  []string // ids, the oldest first
	answer map[string]*answer
}

// An answer is the reply to a publish, once there is one.
type answer struct {
	done  chan struct{}
	reply *bayeux.Message
}

// asked are the publishes of one session that have no reply yet, by message id.
type asked struct {
	mu   sync.Mutex
	byID map[string]*answer
}

func (x *extension) incoming(ctx context.Context, s *server.Session, m *bayeux.Message) error {
	if _, ok := m.Ext[once.Name]; !ok || bayeux.Channel(m.Channel).Kind() == bayeux.Meta {
		return nil
	}
	var k once.Key
	if _, err := m.Ext.Decode(once.Name, &k); err != nil || len(k.Client) > 64 || len(k.ID) > 64 || k.Client == "" {
		return &bayeux.Error{Code: 400, Message: "once_invalid"}
	}
	if delete(m.Ext, once.Name); len(m.Ext) == 0 {
		m.Ext = nil // subscribers need not see it
	}
	a, first := x.remember(k)
	if first {
		x.expect(s, m.ID, a)
		return nil
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	again := a.reply.Clone()
	again.Channel, again.ID = m.Channel, m.ID
	return server.Answer(again)
}

// remember returns the answer of a key, and whether this is the first time that
// the key is seen.
func (x *extension) remember(k once.Key) (a *answer, first bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.clients[k.Client]
	if e == nil {
		e = x.recent.PushFront(&memory{client: k.Client, answer: map[string]*answer{}})
		x.clients[k.Client] = e
	}
	x.recent.MoveToFront(e)
	if x.recent.Len() > Clients {
		delete(x.clients, x.recent.Remove(x.recent.Back()).(*memory).client)
	}
	return e.Value.(*memory).remember(k.ID)
}

func (m *memory) remember(id string) (a *answer, first bool) {
	if a = m.answer[id]; a != nil {
		return a, false
	}
	a = &answer{done: make(chan struct{})}
	m.answer[id] = a
	if m.order = append(m.order, id); len(m.order) > Publishes {
		delete(m.answer, m.order[0])
		m.order = m.order[1:]
	}
	return a, true
}

// expect waits for the reply to a session's message.
func (x *extension) expect(s *server.Session, id string, a *answer) {
	all, ok := x.asked.Get(s)
	if !ok {
		all = &asked{byID: map[string]*answer{}}
		x.asked.Set(s, all)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.byID[id] = a
}

func (x *extension) outgoing(_ context.Context, s *server.Session, m *bayeux.Message) error {
	if s == nil || m.Outcome == bayeux.NoOutcome || bayeux.Channel(m.Channel).Kind() == bayeux.Meta {
		return nil
	}
	all, ok := x.asked.Get(s)
	if !ok {
		return nil
	}
	all.mu.Lock()
	a := all.byID[m.ID]
	delete(all.byID, m.ID)
	all.mu.Unlock()
	if a != nil {
		a.reply = m.Clone()
		a.reply.ID = "" // each answer has its own, and this one may keep much beside it
		close(a.done)
	}
	return nil
}
