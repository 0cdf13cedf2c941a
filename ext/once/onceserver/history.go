package onceserver

import (
	"container/list"
	"context"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/once"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/server"
)

// A history is what is known of all publishes.
type history struct {
	publishes, clients, most int // at most so many; bytes

	mu     lock.Mutex[lock.Publishes]
	byName map[string]*list.Element
	recent list.List // of *client, the one that was heard last in front
	bytes  int
}

// A client is what is known of one client's publishes.
type client struct {
	name  string
	order []*answer // the oldest first
	byID  map[string]*answer
	open  map[question]*answer // that have no reply yet
}

// A question is how a reply shows what it answers.
type question struct {
	session *server.Session
	id      string // of the message
}

// asked is where a publish came from.
type asked struct {
	session *server.Session
	id      string
	ctx     context.Context // of its payload
}

// A speaker is a session that has named a client. history.mu guards what follows that.
type speaker struct {
	client  string
	ctx     context.Context // of the payload at hand; nil: nothing is pending
	pending map[string]int  // its publishes that have no reply yet, by message id
}

// An answer is what a publish was answered with. history.mu guards it.
type answer struct {
	id    string        // of the publish
	by    asked         // zero once it is answered
	done  chan struct{} // closed then, or when it is forgotten
	reply *bayeux.Message
	bytes int
}

// What is remembered takes about so many bytes beside the texts in it.
const (
	clientBytes  = 512
	publishBytes = 256
)

func newHistory() *history {
	return &history{publishes: 512, clients: 10_000, most: 32 << 20, byName: map[string]*list.Element{}}
}

// remember returns the answer of a key, and whether this is the first time that
// the key is seen.
func (h *history) remember(k once.Key, by asked) (a *answer, first bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.client(k.Client)
	if a = c.byID[k.ID]; a != nil {
		return a, false
	}
	a = &answer{id: k.ID, by: by, done: make(chan struct{})}
	c.byID[k.ID] = a
	c.order = append(c.order, a)
	c.open[question{by.session, by.id}] = a
	h.take(a, publishBytes+len(k.ID)+len(by.id))
	if len(c.order) > h.publishes {
		h.forgetOldest(c)
	}
	h.shrink()
	return a, true
}

// asked notes a publish, with a key or without, and reports whether another one of its
// payload has no reply yet and the same id. Whose reply comes next cannot be told then,
// and is not kept for any of them.
func (h *history) asked(who *speaker, q question, ctx context.Context) (alike bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if who.ctx != ctx { // replies may have been deleted
		who.ctx = ctx
		clear(who.pending)
	}
	who.pending[q.id]++
	if who.pending[q.id] == 1 {
		return false
	}
	if e := h.byName[who.client]; e != nil {
		c := e.Value.(*client)
		if a := c.open[q]; a != nil && a.by.ctx == ctx {
			c.close(a)
		}
	}
	return true
}

// replied notes that a publish of that id has its reply.
func (who *speaker) replied(id string) {
	if n := who.pending[id]; n > 1 {
		who.pending[id] = n - 1
	} else {
		delete(who.pending, id)
	}
	if len(who.pending) == 0 {
		who.ctx = nil
	}
}

// client is the one of that name, who is heard now.
func (h *history) client(name string) *client {
	e := h.byName[name]
	if e == nil {
		e = h.recent.PushFront(&client{name: name, byID: map[string]*answer{}, open: map[question]*answer{}})
		h.byName[name] = e
		h.bytes += clientBytes + len(name)
	}
	h.recent.MoveToFront(e)
	return e.Value.(*client)
}

// shrink forgets clients until what is left may be kept; of the one that is
// heard now, publishes, but not the last.
func (h *history) shrink() {
	for h.recent.Len() > h.clients || h.bytes > h.most {
		c := h.recent.Back().Value.(*client)
		if h.recent.Len() == 1 {
			if len(c.order) == 1 {
				return
			}
			h.forgetOldest(c)
			continue
		}
		for len(c.order) > 0 {
			h.forgetOldest(c)
		}
		h.recent.Remove(h.byName[c.name])
		delete(h.byName, c.name)
		h.bytes -= clientBytes + len(c.name)
	}
}

func (h *history) forgetOldest(c *client) {
	a := c.order[0]
	c.order[0] = nil
	c.order = c.order[1:]
	delete(c.byID, a.id)
	h.bytes -= a.bytes
	if a.by.session != nil {
		c.close(a)
	}
}

// close ends the wait for an answer.
func (c *client) close(a *answer) {
	if q := (question{a.by.session, a.by.id}); c.open[q] == a {
		delete(c.open, q)
	}
	a.by = asked{}
	close(a.done)
}

// take counts what an answer holds.
func (h *history) take(a *answer, n int) {
	a.bytes += n
	h.bytes += n
}

// answered keeps what m says of the publish that it answers.
func (h *history) answered(who *speaker, s *server.Session, m *bayeux.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	who.replied(m.ID)
	e := h.byName[who.client]
	if e == nil {
		return
	}
	c := e.Value.(*client)
	a := c.open[question{s, m.ID}]
	if a == nil {
		return
	}
	c.close(a)
	a.reply = taken
	if r := (bayeux.Message{Outcome: m.Outcome, Error: m.Error, Ext: m.Ext}); r.Outcome != bayeux.Succeeded || r.Ext != nil {
		a.reply = r.Clone()
		h.take(a, len(r.Error))
		for name, v := range r.Ext {
			h.take(a, len(name)+len(v))
		}
	}
	h.shrink()
}

// taken is the answer to most publishes.
var taken = &bayeux.Message{Outcome: bayeux.Succeeded}

// askedBy is where a publish that has no reply yet came from.
func (h *history) askedBy(a *answer) asked {
	h.mu.Lock()
	defer h.mu.Unlock()
	return a.by
}

// reply is what a publish was answered with; nil if it was not.
func (h *history) reply(a *answer) *bayeux.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return a.reply
}
