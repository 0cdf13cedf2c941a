package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
)

// keep gives the message to the history, which delivers it. Others may wait for that
// to end: user code for which they need not wait runs when the publisher hears of it.
func (p *publishing) keep() error {
	if p.ctx != nil && p.ctx.Value(deliveryKey{}) != nil {
		return fmt.Errorf("server: a Deliver of a kept message cannot publish on a kept channel: %q", p.channel.name)
	}
	p.wakes.flushBut(p.srv, p.from) // it may wait for the history
	p.wakes, p.lent = &p.own, true  // delivery is another goroutine's
	if p.from != nil {
		p.own.cause = p.from
	}
	if p.message != nil {
		p.message = p.message.Clone() // user code may have kept the other
	}
	var (
		subscribers, bytes int
		spoiled            error
	)
	ch := p.channel
	for !ch.expect() {
		ch = p.srv.createChannel(ch.name, p.from)
	}
	appended := false
	defer func() {
		if !appended { // it has panicked
			ch.unexpect()
		}
	}()
	ctx := p.context()
	wait := p.srv.history.Append(ctx, ch.name, p.data, func(data codec.Raw) {
		var failed error // is in the log
		defer p.srv.recovered(ch.name, &failed)
		p.ctx, p.data = deliveryContext{ctx}, data
		p.onto(ch) // who has joined meanwhile must not be missed
		if p.message != nil {
			p.message.Data = data.AppendTo(nil)
		}
		var e *event
		if e, spoiled = p.encode(); spoiled == nil {
			subscribers, bytes = p.deliver(e), len(e.text)
		}
		p.wakes.wake(p.srv, nil)
		p.srv.overflowApart(p.wakes.doomed)
		p.wakes.doomed = nil
	})
	appended = true
	p.kept = func() error {
		defer ch.unexpect()
		err := wait()
		switch {
		case err != nil:
			return err
		case spoiled != nil:
			p.srv.logRepeated(slog.LevelError, "message cannot be encoded", "", slog.String("channel", ch.name), slog.Any("err", spoiled))
		default:
			p.delivered(subscribers, bytes)
		}
		p.wakes.tell(p.srv)
		return nil
	}
	return nil
}

// A deliveryContext is that of a Deliver for which all kept channels wait.
type deliveryContext struct{ context.Context }

type deliveryKey struct{}

func (c deliveryContext) Value(key any) any {
	if key == (deliveryKey{}) {
		return true
	}
	return c.Context.Value(key)
}

// A keeping is a publish whose reply waits for the history.
type keeping struct {
	at      int // its place among the replies
	p       *publishing
	channel string
	written string // as in turn
	id      string
}

// await answers the publishes that the history has under way.
func (t *turn) await() {
	if len(t.keeping) == 0 {
		return
	}
	t.wakeOthers()
	for _, k := range t.keeping {
		n := len(t.replies)
		t.answerKept(k)
		if len(t.replies) > n {
			t.replies[k.at] = t.replies[n]
			t.replies = t.replies[:n]
		}
	}
	t.keeping = nil
	kept := t.replies[:0]
	for _, text := range t.replies {
		if text != nil {
			kept = append(kept, text)
		}
	}
	t.replies = kept
	t.written = ""
}

func (t *turn) answerKept(k keeping) {
	t.written = k.written
	m := &bayeux.Message{Channel: k.channel, ID: k.id}
	defer func() {
		if p := recover(); p != nil {
			t.srv.panicked("history", p, slog.Any("session", t.session))
			t.refuse(m, &bayeux.Error{Code: 500, Message: "internal"})
		}
	}()
	err := k.p.kept()
	if e, refused := errors.AsType[*bayeux.Error](err); refused {
		t.srv.logRepeated(slog.LevelWarn, "history refuses a message", "", slog.String("channel", k.channel), slog.Any("err", err))
		t.refuse(m, e)
		return
	}
	if err != nil {
		t.srv.logRepeated(slog.LevelError, "message is not kept", "", slog.String("channel", k.channel), slog.Any("err", err))
		t.refuse(m, &bayeux.Error{Code: 500, Message: "history_failed"})
		return
	}
	t.reply(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded})
}
