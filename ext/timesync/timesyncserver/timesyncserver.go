// Package timesyncserver is the server's half of the timesync extension
// (docs/protocol.md §16): it answers the clients' question what time it is, of
// package timesync and of reference clients alike.
package timesyncserver

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/timesync"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/server"
)

// DefaultAccuracy is the reference's.
const DefaultAccuracy = 25 * time.Millisecond

// New makes the extension for one server. A client whose own estimate is wrong
// by less than accuracy is not answered, to save bytes; zero is
// [DefaultAccuracy], a negative one answers always.
func New(accuracy time.Duration) server.Extension {
	if accuracy == 0 {
		accuracy = DefaultAccuracy
	}
	x := &extension{accuracy.Milliseconds(), server.NewAttr[*questions]("timesync")}
	return server.Extension{Name: "timesync", Channels: []string{"/meta/*"}, Incoming: x.incoming, Outgoing: x.outgoing}
}

type extension struct {
	accuracy int64
	asked    *server.Attr[*questions]
}

// questions are those of one session that have no reply yet, one for each
// channel: the message before it has been answered, or is a connect that never
// is, because another has taken its place.
type questions struct {
	mu   lock.Mutex[lock.Questions]
	open []question
}

type question struct {
	channel, id string
	timesync.Request
	received time.Time
}

func (x *extension) incoming(_ context.Context, s *server.Session, m *bayeux.Message) error {
	if m.Ext[timesync.Name] != nil {
		x.ask(s, m)
	}
	return nil
}

// ask keeps a question until it has a reply. There are few channels to ask on:
// messages on meta channels that do not exist reach no extension.
func (x *extension) ask(s *server.Session, m *bayeux.Message) {
	var r timesync.Request
	if _, err := m.Ext.Decode(timesync.Name, &r); err != nil {
		return
	}
	all, ok := x.asked.Get(s)
	if !ok {
		all = &questions{}
		x.asked.Set(s, all)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.open = slices.DeleteFunc(all.open, func(q question) bool { return q.channel == m.Channel })
	// Not m.ID itself, which shares its memory with the rest of m.
	all.open = append(all.open, question{m.Channel, strings.Clone(m.ID), r, time.Now()})
}

func (x *extension) outgoing(_ context.Context, s *server.Session, m *bayeux.Message) error {
	if all, ok := x.asked.Get(s); ok {
		return x.reply(all, m)
	}
	return nil
}

// reply answers the question that m's request has asked.
func (x *extension) reply(all *questions, m *bayeux.Message) error {
	q, ok := all.take(m)
	if !ok {
		return nil
	}
	received := q.received.UnixMilli()
	r := timesync.Reply{Sent: q.Sent, Received: received, Held: time.Since(q.received).Milliseconds()}
	if q.Lag != nil {
		wrong := q.Sent + q.Offset + *q.Lag - received
		if r.Accuracy = &wrong; *q.Lag != 0 && max(wrong, -wrong) < x.accuracy {
			return nil
		}
	}
	return m.Ext.Set(timesync.Name, r)
}

// take finds the question that m answers.
func (all *questions) take(m *bayeux.Message) (q question, ok bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for i, q := range all.open {
		if q.channel == m.Channel && q.id == m.ID {
			all.open = slices.Delete(all.open, i, i+1) // which lets go of its text
			return q, true
		}
	}
	return q, false
}
