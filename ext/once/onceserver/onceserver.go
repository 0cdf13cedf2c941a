// Package onceserver is the server's half of package once: a publish that a
// client sends again is taken once, and answered as it was the first time, be
// that a refusal. If it is sent again before there is an answer, it waits for that, up
// to five seconds where both are of one session. Where none comes, because another
// extension deleted the first, it is refused with 409::once_unanswered: whether the
// publish was taken nobody knows, and who sends it again gets the same.
//
// A key with a part that is empty, or has more than 64 bytes, is refused with
// 400::once_invalid. A reply shows what it answers by its message's id alone. So a key is
// refused likewise where a publish before it in its payload has the same id, or has none
// either, and no reply yet, as on a channel with history. If that has a key too, its
// outcome is not known from then on.
//
//	srv, err := cometd.NewServer(server.WithExtension(onceserver.New()))
//
// It remembers the last publishes of the last clients that sent keys, so many
// and so many bytes as [WithPublishes], [WithClients] and [WithBytes] say, and
// costs each publish a look. What it has forgotten is taken again. A session
// names one client, and is refused with 403:second_client:once_invalid where it
// names another; who may make sessions without end (server.Limits has
// HandshakeRate and SessionsPerAddr) can still make it forget others.
package onceserver

import (
	"context"
	"strings"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/once"
	"github.com/gocometd/cometd/server"
)

// An Option says how much is remembered.
type Option func(*history)

// WithPublishes sets how many publishes of one client are remembered; the
// default is 512. More than a client has under way at once are of no use. It
// panics if n is less than 1.
func WithPublishes(n int) Option { return bound(n, func(h *history) { h.publishes = n }) }

// WithClients sets how many clients are remembered; the default is 10,000. The
// one that has published least recently is forgotten first. It panics if n is
// less than 1.
func WithClients(n int) Option { return bound(n, func(h *history) { h.clients = n }) }

// WithBytes sets how many bytes all that is remembered may take, some 300 for a
// publish and more for one that was refused in many words; the default is 32
// MiB. The client that has published least recently is forgotten first. It
// panics if n is less than 1.
func WithBytes(n int) Option { return bound(n, func(h *history) { h.most = n }) }

func bound(n int, o Option) Option {
	if n < 1 {
		panic("onceserver: a bound is less than 1")
	}
	return o
}

// New makes the extension for one server.
func New(opts ...Option) server.Extension {
	x := &extension{history: newHistory(), speakers: server.NewAttr[*speaker]("once")}
	for _, o := range opts {
		if o == nil {
			continue
		}
		o(x.history)
	}
	return server.Extension{Name: "once", Incoming: x.incoming, Outgoing: x.outgoing}
}

type extension struct {
	history  *history
	speakers *server.Attr[*speaker] // of sessions that have named a client
}

const longest = 64 // of the parts of a key, in bytes

// legal reports whether a key may have part: an empty one would be many messages'.
func legal(part string) bool { return part != "" && len(part) <= longest }

func (x *extension) incoming(ctx context.Context, s *server.Session, m *bayeux.Message) error {
	if bayeux.Channel(m.Channel).Kind() == bayeux.Meta {
		return nil
	}
	who, named := x.speakers.Get(s)
	alike := named && x.history.asked(who, question{s, m.ID}, ctx)
	if _, ok := m.Ext[once.Name]; !ok {
		return nil
	}
	var k once.Key
	if _, err := m.Ext.Decode(once.Name, &k); err != nil || alike || !legal(k.Client) || !legal(k.ID) {
		return &bayeux.Error{Code: 400, Message: "once_invalid"}
	}
	if !named {
		who = &speaker{client: k.Client, pending: map[string]int{}}
		x.speakers.Set(s, who)
		x.history.asked(who, question{s, m.ID}, ctx)
	} else if who.client != k.Client {
		return &bayeux.Error{Code: 403, Args: []string{"second_client"}, Message: "once_invalid"}
	}
	if delete(m.Ext, once.Name); len(m.Ext) == 0 {
		m.Ext = nil // subscribers need not see it
	}
	a, first := x.history.remember(k, asked{s, strings.Clone(m.ID), ctx})
	if first {
		return nil
	}
	return x.again(ctx, s, a)
}

// patience is how long a publish waits for the answer to an earlier one of its
// session: a server with a history may answer that while this one has the
// session's turn. It is less than clients wait for a reply.
const patience = 5 * time.Second

// again answers a publish as it was answered before. Until there is an answer it
// waits, but not for ever: another extension may have deleted the first one's.
func (x *extension) again(ctx context.Context, s *server.Session, a *answer) error {
	by := x.history.askedBy(a)
	var enough <-chan time.Time // never
	var ended <-chan struct{}
	switch by.session {
	case nil: // it is answered
	case s:
		if by.ctx == ctx { // by the same payload, and answered with it
			return unanswered()
		}
		t := time.NewTimer(patience)
		defer t.Stop()
		enough = t.C
	default:
		ended = by.session.Context().Done()
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return ctx.Err()
	case <-ended:
	case <-enough:
	}
	if reply := x.history.reply(a); reply != nil {
		return server.Answer(reply)
	}
	return unanswered()
}

// unanswered refuses a publish that was taken before, nobody knows with what
// outcome.
func unanswered() error { return &bayeux.Error{Code: 409, Message: "once_unanswered"} }

func (x *extension) outgoing(_ context.Context, s *server.Session, m *bayeux.Message) error {
	if s == nil || m.Outcome == bayeux.NoOutcome || bayeux.Channel(m.Channel).Kind() == bayeux.Meta {
		return nil
	}
	if who, named := x.speakers.Get(s); named {
		x.history.answered(who, s, m)
	}
	return nil
}
