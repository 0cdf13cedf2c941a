package ackserver

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/server"
)

// An Option configures the extension.
type Option func(*extension)

// WithGrace keeps a session with acknowledgement for this long after its last
// connect, instead of the server's Timing.MaxInterval: so long may a break last
// that loses nothing. It panics if d is not positive.
func WithGrace(d time.Duration) Option {
	if d <= 0 {
		panic(fmt.Sprintf("ackserver: grace is not positive: %v", d))
	}
	return func(x *extension) { x.grace = d }
}

// WithWindow sets how many bytes a client of package ack receives at most
// before it acknowledges. The default is 64 KiB; it should be far below
// server.Limits.SessionBytes, whose default is 1 MiB. It panics if bytes is not
// positive.
func WithWindow(bytes int) Option {
	if bytes <= 0 {
		panic(fmt.Sprintf("ackserver: window is not positive: %d", bytes))
	}
	return func(x *extension) { x.answer.Window = bytes }
}

// WithMessages also has the client acknowledge after so many messages. It is
// needed only beside a server.Limits.SessionMessages, and should be a quarter
// of it. It panics if n is not positive.
func WithMessages(n int) Option {
	if n <= 0 {
		panic(fmt.Sprintf("ackserver: messages is not positive: %d", n))
	}
	return func(x *extension) { x.answer.Messages = n }
}

// WithoutNumbers gives all clients the reference's form.
func WithoutNumbers() Option {
	return func(x *extension) { x.answer.Numbers = false }
}

type extension struct {
	grace  time.Duration
	answer ack.Answer // to those that count
	form   *server.Attr[form]
}

// A form is how a session acknowledges.
type form int8

const (
	none form = iota
	asked
	byBatch
	byNumber
)

// New makes the extension for one server.
func New(opts ...Option) server.Extension {
	x := &extension{
		answer: ack.Answer{Enabled: true, Numbers: true, Window: 64 << 10},
		form:   server.NewAttr[form]("ack"),
	}
	for _, o := range opts {
		if o == nil {
			continue
		}
		o(x)
	}
	return server.Extension{
		Name:     "ack",
		Channels: []string{"/meta/*", ack.Channel},
		Incoming: x.incoming,
		Outgoing: x.outgoing,
	}
}

func (x *extension) incoming(ctx context.Context, s *server.Session, m *bayeux.Message) error {
	switch m.Channel {
	case bayeux.MetaHandshake:
		x.begin(s, m)
	case bayeux.MetaConnect:
		x.connect(ctx, s, m)
	case ack.Channel:
		f, _ := x.form.Get(s)
		if n, err := strconv.ParseUint(string(m.Data), 10, 64); err == nil && f == byNumber {
			s.Outbox().Received(nil, n)
			return server.Answer(&bayeux.Message{Outcome: bayeux.Succeeded})
		}
	}
	return nil
}

// begin prepares a session that is being made; which form it gets is decided
// when the handshake has been granted.
func (x *extension) begin(s *server.Session, m *bayeux.Message) {
	enabled, numbers := ack.Offered(m.Ext)
	switch {
	case !enabled:
		return
	case numbers && x.answer.Numbers:
		x.form.Set(s, asked)
	default:
		x.form.Set(s, byBatch)
	}
	s.Outbox().Retain()
	if x.grace > 0 {
		s.SetTiming(server.Timing{MaxInterval: x.grace})
	}
}

func (x *extension) connect(ctx context.Context, s *server.Session, m *bayeux.Message) {
	f, ok := x.form.Get(s)
	if !ok {
		return
	}
	n, err := strconv.ParseUint(string(m.Ext[ack.Name]), 10, 64)
	if err != nil {
		return
	}
	switch f {
	case byBatch:
		s.Outbox().Acknowledge(n)
	case byNumber:
		s.Outbox().Received(server.PeerOf(ctx), n)
	}
}

func (x *extension) outgoing(ctx context.Context, s *server.Session, m *bayeux.Message) error {
	f, _ := x.form.Get(s)
	switch {
	case f == none || m.Outcome == bayeux.NoOutcome:
		return nil
	case m.Channel == bayeux.MetaHandshake && m.Outcome == bayeux.Succeeded:
		return m.Ext.Set(ack.Name, x.accept(ctx, s, f).Ext())
	case m.Channel == bayeux.MetaConnect && f == byBatch:
		return m.Ext.Set(ack.Name, server.BatchOf(ctx))
	case m.Ext == nil && m.Channel != ack.Channel:
		m.Ext = bayeux.Ext{} // as the reference has it
	}
	return nil
}

// accept settles the form of a session whose handshake was granted.
func (x *extension) accept(ctx context.Context, s *server.Session, f form) ack.Answer {
	if f == asked && s.Outbox().Number(mark) {
		x.form.Set(s, byNumber)
		return x.answer
	}
	x.form.Set(s, byBatch)
	s.Outbox().OnConnectOnly(true)
	return ack.Answer{Enabled: true, Batch: server.BatchOf(ctx)}
}

// mark is the message before the one with number n.
func mark(n uint64) []byte {
	return fmt.Appendf(nil, `{"channel":%q,"data":%d}`, ack.Channel, n)
}
