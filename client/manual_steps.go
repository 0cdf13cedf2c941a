package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// patience is how long replies may take.
func (m *Manual) patience(ms []*bayeux.Message) time.Duration {
	t := m.end.cfg.timeouts
	for _, msg := range ms {
		if msg.Channel == bayeux.MetaConnect && msg.Advice == nil {
			return t.NetworkDelay + min(m.advice.Timeout.Or(t.DefaultTimeout), time.Hour)
		}
	}
	return t.NetworkDelay
}

// payload fills messages in, passes them through the extensions, and encodes.
func (m *Manual) payload(ctx context.Context, ms []*bayeux.Message) (*transport.Payload, []*bayeux.Message, error) {
	p := &transport.Payload{}
	var sent []*bayeux.Message
	for _, msg := range ms {
		msg = msg.Clone()
		if msg.ID == "" {
			m.ids++
			msg.ID = strconv.FormatUint(m.ids, 10)
		}
		if msg.ClientID == "" && msg.Channel != bayeux.MetaHandshake {
			msg.ClientID = m.id
		}
		if err := pass(ctx, msg, m.end.cfg.outgoing(msg.Channel)); err != nil {
			return nil, nil, err
		}
		b, err := codec.AppendMessage(nil, msg)
		if err != nil {
			return nil, nil, err
		}
		sent, p.Messages = append(sent, msg), append(p.Messages, b)
	}
	if len(sent) == 1 {
		p.Kind = kindOf(sent[0].Channel)
	}
	return p, sent, nil
}

func kindOf(ch string) transport.Kind {
	for k := transport.Handshake; k <= transport.Unsubscribe; k++ {
		if ch == "/meta/"+k.String() {
			return k
		}
	}
	return transport.Other
}

// exchange sends p and receives until every sent message has its reply.
func (m *Manual) exchange(ctx context.Context, p *transport.Payload, sent []*bayeux.Message) (got []*bayeux.Message, err error) {
	conn := m.conn
	if conn == nil {
		if conn, err = m.dial(ctx); err != nil {
			return nil, err
		}
	}
	if conn.Peer().Once {
		defer conn.Close(transport.Normal)
	} else {
		m.conn = conn
	}
	stop := context.AfterFunc(ctx, func() { conn.Close(transport.Stalled) })
	defer stop()
	if err := conn.Send(p); err != nil {
		return nil, err
	}
	open, bytes := slices.Clone(sent), 0
	for {
		r, err := conn.Receive()
		if err != nil {
			return got, receiveError(conn.Peer().Type, err)
		}
		b, err := codec.Read(r, m.end.cfg.limits.received())
		if err != nil {
			return got, receiveError(conn.Peer().Type, err)
		}
		fresh := b.Detach()
		b.Release()
		got = append(got, fresh...)
		open = stillOpen(open, fresh)
		if conn.Peer().Once || len(open) == 0 {
			return got, nil
		}
		for _, g := range fresh {
			bytes += weight(g)
		}
		if most := m.end.cfg.limits.QueueBytes; most > 0 && bytes > most {
			return got, &transport.Error{
				Type: conn.Peer().Type, Op: "receive", Reason: transport.TooLarge,
				Err: fmt.Errorf("over the limit of %d bytes before the reply to %s", most, open[0].Channel),
			}
		}
	}
}

func (m *Manual) typ() string {
	if m.dialer == nil {
		return m.end.cfg.dialers[0].Type()
	}
	return m.dialer.Type()
}

func (m *Manual) dial(ctx context.Context) (transport.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, m.end.cfg.timeouts.Open)
	defer cancel()
	d := m.dialer
	if d == nil {
		d = m.end.cfg.dialers[0]
	}
	return m.end.dial(ctx, d)
}

// replyTo finds s's reply: by id, or by channel where the server leaves ids out.
func replyTo(s *bayeux.Message, got []*bayeux.Message) *bayeux.Message {
	for _, g := range got {
		if g.Channel == s.Channel && g.IsReply() && (g.ID == s.ID || g.ID == "") {
			return g
		}
	}
	return nil
}

// stillOpen takes out of open what got answers. A message without a channel is
// given that of the request it refuses: the one with its id, or the only one that
// is not answered.
func stillOpen(open, got []*bayeux.Message) []*bayeux.Message {
	answered := func(s *bayeux.Message) bool { return replyTo(s, got) != nil }
	open = slices.DeleteFunc(open, answered)
	for _, g := range got {
		if g.Channel != "" {
			continue
		}
		theirs := func(s *bayeux.Message) bool { return g.ID == "" || g.ID == s.ID }
		i := slices.IndexFunc(open, theirs)
		if i >= 0 && !slices.ContainsFunc(open[i+1:], theirs) {
			g.Channel, g.Outcome = open[i].Channel, bayeux.Failed // docs/protocol.md §19
			open = slices.DeleteFunc(open, answered)
		}
	}
	return open
}

// learn takes over what replies say, and returns the refusals.
func (m *Manual) learn(ctx context.Context, sent, got []*bayeux.Message) (err error) {
	for _, g := range got {
		err = errors.Join(err, pass(ctx, g, m.end.cfg.incoming(g.Channel)))
	}
	for _, s := range sent {
		g := replyTo(s, got)
		if g == nil {
			continue
		}
		if refusal := g.Err(); refusal != nil {
			err = errors.Join(err, refusal)
		} else if g.Channel == bayeux.MetaHandshake && g.ClientID == "" {
			err = errors.Join(err, fmt.Errorf("client: handshake reply without a clientId over %s", m.typ()))
		}
		m.follow(g)
	}
	return err
}

// passedOver is the error for requests that the server's answer passes over.
func passedOver(sent, got []*bayeux.Message) (err error) {
	for _, s := range sent {
		if replyTo(s, got) == nil {
			err = errors.Join(err, fmt.Errorf("client: %s: there is no reply to it in the answer: %w", s.Channel, bayeux.ErrTimeout))
		}
	}
	return err
}

// follow moves the state by a reply.
func (m *Manual) follow(g *bayeux.Message) {
	switch g.Channel {
	case bayeux.MetaHandshake:
		m.advice = bayeux.Advice{} // a new session begins with the defaults
		if g.Outcome != bayeux.Failed && g.ClientID != "" {
			m.id, m.soon = g.ClientID, true
			m.step(bayeux.HandshakeOK)
			m.end.cfg.sessionBegins(m.id)
		}
	case bayeux.MetaConnect:
		if g.Outcome != bayeux.Failed {
			m.soon = false
			m.step(bayeux.ConnectOK)
		}
	case bayeux.MetaDisconnect:
		m.step(bayeux.DisconnectOK)
		return
	default:
		return
	}
	if g.Advice == nil {
		return
	}
	m.advice = *g.Advice.Clone()
	switch {
	case g.Advice.ShouldStop():
		m.step(bayeux.Refused)
	case g.Advice.ShouldHandshake():
		m.step(bayeux.SessionLost)
	}
}

// step moves the state where e is legal; a Manual may do what makes no sense.
func (m *Manual) step(e bayeux.Event) {
	if next, err := m.state.Next(e); err == nil {
		m.state = next
	}
}
