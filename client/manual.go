package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// A Manual takes the protocol's steps one at a time and does nothing by itself:
// no retry, no heartbeat, no subscribing again, no fallback after the
// handshake. It is for tools and tests. It belongs to one goroutine at a time.
//
// Each step sends one payload, waits for its replies, and returns every message
// that came meanwhile, in the order of arrival, events included. A refusal is
// returned beside them as a *bayeux.Error; one that names no channel, as some
// servers' (docs/protocol.md §19), gets the step's. The end of ctx, or a reply
// that stays out for Timeouts.NetworkDelay, breaks the connection; the next step
// opens another one. A step without a reply, also because the server's answer
// has none, ends with bayeux.ErrTimeout; one before whose reply more than
// Limits.QueueBytes come, with transport.ErrTooLarge.
//
// Options that concern what a Client does by itself are ignored. An extension
// that needs a Client, as its Opened or Done says, is refused: ext/ack and
// ext/replay are two.
type Manual struct {
	end    *endpoint
	dialer transport.Dialer // that let the handshake through
	conn   transport.Conn   // the stream, if there is one
	state  bayeux.State
	id     string
	ids    uint64
	advice bayeux.Advice
	soon   bool // the next connect wants its answer at once
	closed bool
}

// NewManual makes a Manual. It opens nothing, and fails for bad options only.
func NewManual(url string, opts ...Option) (*Manual, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	for i := range cfg.extensions {
		if e := &cfg.extensions[i]; e.Opened != nil || e.Done != nil {
			return nil, fmt.Errorf("client: extension needs a Client, not a Manual: %q", e.Name)
		}
	}
	end, err := newEndpoint(url, cfg)
	if err != nil {
		return nil, err
	}
	return &Manual{end: end}, nil
}

// State is where the steps have led (docs/protocol.md §6).
func (m *Manual) State() bayeux.State { return m.state }

// Advice is what the server last advised; all fields are absent if it has not.
func (m *Manual) Advice() bayeux.Advice { return m.advice }

// ID is the session's id, "" before the handshake.
func (m *Manual) ID() string { return m.id }

// Close ends the connection; the server is not told. See Disconnect.
func (m *Manual) Close() error {
	m.hangUp()
	m.closed = true
	m.end.close()
	return nil
}

func (m *Manual) hangUp() {
	if m.conn != nil {
		m.conn.Close(transport.Normal)
		m.conn = nil
	}
}

// Handshake makes a session, over the first of the transports that opens.
func (m *Manual) Handshake(ctx context.Context) ([]*bayeux.Message, error) {
	m.hangUp()
	m.step(bayeux.HandshakeSent)
	got, err := m.handshakeOver(ctx)
	if err != nil && m.state == bayeux.Handshaking {
		m.step(bayeux.ConnectionLost)
	}
	return got, err
}

// handshakeOver tries the transports in turn until one lets a handshake through,
// or the server refuses it.
func (m *Manual) handshakeOver(ctx context.Context) (got []*bayeux.Message, err error) {
	if err := m.end.authorize(ctx); err != nil {
		return nil, err
	}
	var failures []error
	for i, d := range m.end.cfg.dialers {
		var types []string
		for _, d := range m.end.cfg.dialers[i:] {
			types = append(types, d.Type())
		}
		m.dialer = d
		got, err = m.handshake(ctx, types)
		_, refused := refusalOf(err)
		if err == nil || refused || ctx.Err() != nil {
			return got, err
		}
		m.hangUp()
		failures = append(failures, err)
	}
	return got, errors.Join(failures...)
}

func (m *Manual) handshake(ctx context.Context, types []string) ([]*bayeux.Message, error) {
	msg, err := bayeux.NewHandshake(types...)
	if err != nil {
		return nil, err
	}
	if err := m.end.handshakeExt(ctx, msg); err != nil {
		return nil, err
	}
	return m.Send(ctx, msg)
}

// Connect sends one connect and waits for its reply, at most for the advised
// timeout and Timeouts.NetworkDelay. The first one after a handshake or a
// failure asks for an answer at once.
func (m *Manual) Connect(ctx context.Context) ([]*bayeux.Message, error) {
	msg, err := bayeux.NewConnect(m.id, m.typ())
	if err != nil {
		return nil, err
	}
	if m.soon {
		msg.Advice = &bayeux.Advice{Timeout: bayeux.SpanOf(0)}
	}
	return m.Send(ctx, msg)
}

// Subscribe subscribes to channels in one request.
func (m *Manual) Subscribe(ctx context.Context, channels ...string) ([]*bayeux.Message, error) {
	msg, err := bayeux.NewSubscribe(m.id, channels...)
	if err != nil {
		return nil, err
	}
	return m.Send(ctx, msg)
}

// Unsubscribe unsubscribes from channels in one request.
func (m *Manual) Unsubscribe(ctx context.Context, channels ...string) ([]*bayeux.Message, error) {
	msg, err := bayeux.NewUnsubscribe(m.id, channels...)
	if err != nil {
		return nil, err
	}
	return m.Send(ctx, msg)
}

// Disconnect ends the session.
func (m *Manual) Disconnect(ctx context.Context) ([]*bayeux.Message, error) {
	msg, err := bayeux.NewDisconnect(m.id)
	if err != nil {
		return nil, err
	}
	m.step(bayeux.DisconnectSent)
	return m.Send(ctx, msg)
}

// Send sends messages in one payload and waits for a reply to each. Ids and
// clientIds that are missing are filled in, in copies. The error joins those of
// all refused messages.
func (m *Manual) Send(ctx context.Context, ms ...*bayeux.Message) ([]*bayeux.Message, error) {
	if m.closed {
		return nil, ErrClosed
	}
	if len(ms) == 0 {
		return nil, nil
	}
	p, sent, err := m.payload(ctx, ms)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, m.patience(sent), bayeux.ErrTimeout)
	defer cancel()
	got, err := m.exchange(ctx, p, sent)
	if err == nil {
		err = passedOver(sent, got)
	} else {
		m.hangUp()
		m.soon = true
		if m.state == bayeux.Connected || m.state == bayeux.Connecting {
			m.step(bayeux.ConnectionLost)
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("client: %s: %w", sent[0].Channel, context.Cause(ctx))
		}
	}
	return got, errors.Join(err, m.learn(ctx, sent, got))
}
