package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
)

// A Service answers messages on a service channel, which go to the server and
// to nobody else (docs/protocol.md §14). What it returns is sent to the caller
// on the same channel, with the id of the request, so that both a remote call
// and a plain listener of the client get it: nil is null, [NoAnswer] is no
// answer but the acknowledgement. An error is a refusal: a [*bayeux.Error]
// reaches the caller as it is; of any other the caller learns 500::internal
// and the log everything, once a minute for each channel.
//
// It runs in the receive order of its session: until it returns, later
// messages of that session wait; [Parallel] lifts that. Calls of different sessions
// run at once.
type Service func(ctx context.Context, s *Session, m *bayeux.Message) (any, error)

// NoAnswer is what a [Service] returns when the caller gets nothing but the
// acknowledgement of its message.
var NoAnswer any = noAnswer{}

type noAnswer struct{}

// Typed makes a [Service] of a function on the application's own types. The
// request is decoded from the message's data; a request that cannot be is
// answered with 400::data_invalid, a missing one is the zero value of Req.
// It panics if f is nil.
func Typed[Req, Resp any](f func(ctx context.Context, s *Session, req Req) (Resp, error)) Service {
	mustFunc(f != nil, "service")
	return func(ctx context.Context, s *Session, m *bayeux.Message) (any, error) {
		var req Req
		if m.Data != nil {
			if err := s.srv.json.Unmarshal(m.Data, &req); err != nil {
				return nil, &bayeux.Error{Code: 400, Message: "data_invalid"}
			}
		}
		return f(ctx, s, req)
	}
}

// HandleService answers messages on ch, which is a service channel without
// wildcard, and returns what removes f. Without a service a message there is
// acknowledged, and only listeners ([Server.Handle]) hear it. It panics if ch is
// no such channel or already has a service, or f is nil, as http.ServeMux does:
// these are mistakes of the program.
func (srv *Server) HandleService(ch string, f Service) (remove func()) {
	mustFunc(f != nil, "service")
	c, err := bayeux.ParseChannel(ch)
	if err != nil || c.Kind() != bayeux.Service {
		panic(fmt.Sprintf("server: not a service channel: %q", ch))
	}
	for {
		target, _, _ := srv.channels.create(srv, string(c), maker{})
		switch took, gone := target.takeService(&f); {
		case took:
			return func() { target.service.CompareAndSwap(&f, nil) }
		case !gone:
			panic(fmt.Sprintf("server: channel already has a service: %q", ch))
		}
	}
}

// takeService makes f the channel's service, unless it has one or has been swept.
func (ch *channel) takeService(f *Service) (took, gone bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return !ch.gone && ch.service.CompareAndSwap(nil, f), ch.gone
}

// Parallel makes a service that does not keep its session waiting: calls run
// on goroutines of their own, at most n at once in the whole server. One that
// finds all n busy waits its turn, in its session's receive order. It panics if n
// is less than 1 or f is nil.
func Parallel(n int, f Service) Service {
	mustFunc(f != nil, "service")
	if n < 1 {
		panic(fmt.Sprintf("server: Parallel wants at least 1 goroutine, got %d", n))
	}
	slots := make(chan struct{}, n)
	return func(ctx context.Context, s *Session, m *bayeux.Message) (any, error) {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil, &bayeux.Error{Code: 503, Message: "session_ended"}
		}
		if !s.srv.run(func() {
			defer func() { <-slots }()
			s.srv.answerCall(ctx, s, m, f)
		}) {
			<-slots
			return nil, ErrClosed
		}
		return NoAnswer, nil
	}
}

// serve runs the service of a channel, if it has one, and answers.
func (t *turn) serve(v *codec.View, p *publishing) {
	p.channel.idle.Store(0)
	f := p.channel.service.Load()
	if f == nil {
		t.acknowledge(v, p.route)
		return
	}
	m := p.message
	if m == nil {
		m = v.Detach()
	}
	t.wakeOthers()
	ctx := t.context()
	if t.written != "" {
		ctx = context.WithValue(ctx, writtenKey{}, t.written)
	}
	answer, err := (*f)(ctx, t.session, m)
	if err != nil {
		t.failCall(ctx, v, m, err)
		return
	}
	if answer != NoAnswer {
		if err := t.srv.sendResult(ctx, t.session, m, answer); err != nil {
			t.failCall(ctx, v, m, err)
			return
		}
	}
	t.acknowledge(v, p.route)
}

// failCall refuses a call. A refusal with data is told as a result too: only a
// result can carry it.
func (t *turn) failCall(ctx context.Context, v *codec.View, m *bayeux.Message, err error) {
	e := t.srv.callError(t.session, m, err)
	if e.Data != nil {
		t.srv.sendFailure(ctx, t.session, m, e)
	}
	t.fail(v, e)
}

// answerCall is a call whose acknowledgement has already left.
func (srv *Server) answerCall(ctx context.Context, s *Session, m *bayeux.Message, f Service) {
	defer func() {
		if p := recover(); p != nil {
			srv.panicked("service", p, slog.Any("session", s), slog.String("channel", m.Channel))
			srv.failAnswer(ctx, s, m, &bayeux.Error{Code: 500, Message: "internal"})
		}
	}()
	answer, err := f(ctx, s, m)
	if err == nil && answer != NoAnswer {
		err = srv.sendResult(ctx, s, m, answer)
	}
	if err != nil {
		srv.failAnswer(ctx, s, m, srv.callError(s, m, err))
	}
}

// failAnswer is failCall where the acknowledgement has left.
func (srv *Server) failAnswer(ctx context.Context, s *Session, m *bayeux.Message, e *bayeux.Error) {
	srv.refused(PeerOf(ctx), e)
	srv.sendFailure(ctx, s, m, e)
}

func (srv *Server) callError(s *Session, m *bayeux.Message, err error) *bayeux.Error {
	if e, ok := errors.AsType[*bayeux.Error](err); ok {
		return e
	}
	srv.logRepeated(slog.LevelError, "service failed", m.Channel, slog.Any("session", s), slog.String("channel", m.Channel), slog.Any("err", err))
	return &bayeux.Error{Code: 500, Message: "internal"}
}

// writtenKey is for how the caller has written the channel, where the service sees
// its name: the result comes on what was called.
type writtenKey struct{}

func calledOn(ctx context.Context, m *bayeux.Message) string {
	written, _ := ctx.Value(writtenKey{}).(string)
	return cmp.Or(written, m.Channel)
}

// sendResult delivers the result of a call: an event with the request's id.
func (srv *Server) sendResult(ctx context.Context, s *Session, m *bayeux.Message, answer any) error {
	raw, err := codec.EncodeWith(srv.json, answer)
	if err != nil {
		return fmt.Errorf("server: answer on %s: %w", m.Channel, err)
	}
	return srv.sendReply(s, &bayeux.Message{Channel: calledOn(ctx, m), ID: m.ID, Outcome: bayeux.Succeeded, Data: raw.AppendTo(nil)})
}

// sendFailure delivers the failure of a call, whose data says what is wrong.
func (srv *Server) sendFailure(ctx context.Context, s *Session, m *bayeux.Message, e *bayeux.Error) {
	r := &bayeux.Message{Channel: calledOn(ctx, m), ID: m.ID, Outcome: bayeux.Failed, Error: e.Wire(), Ext: e.Ext, Data: e.Data}
	if r.Data == nil {
		r.Data, _ = json.Marshal(e.Wire())
	}
	if err := srv.sendReply(s, r); err != nil {
		srv.logRepeated(slog.LevelError, "failure cannot be sent", m.Channel, slog.String("channel", m.Channel), slog.Any("err", err))
	}
}

func (srv *Server) sendReply(s *Session, r *bayeux.Message) error {
	text, err := codec.AppendMessage(nil, r)
	if err != nil {
		return err
	}
	s.deliver(srv.eventOf(text))
	return nil
}
