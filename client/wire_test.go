package client

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// A wire is one Conn as the fake sees it.
type wire struct {
	f     *fake
	conn  transport.Conn
	mu    turn
	out   []*bayeux.Message      // of an exchange, until it is answered
	mum   bool                   // sends nothing
	dead  atomic.Bool            // what is sent is lost
	deaf  atomic.Bool            // what is received is lost
	twice atomic.Pointer[string] // the reply with this id is sent twice
}

// A turn is a mutex whose waiters let fake time go on.
type turn chan struct{}

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }

// handle does what the protocol says. It returns the session whose connect an
// exchange is to hold.
func (w *wire) handle(m *bayeux.Message) *session {
	f := w.f
	f.mu.Lock()
	s := f.sessions[m.ClientID]
	f.mu.Unlock()
	reply := &bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded, Subscription: m.Subscription}
	if m.Channel == bayeux.MetaHandshake {
		f.mu.Lock()
		f.made++
		s = &session{id: fmt.Sprintf("s%d", f.made), f: f, woken: make(chan struct{}, 1)}
		f.sessions[s.id] = s
		f.mu.Unlock()
		reply.ClientID, reply.SupportedConnectionTypes = s.id, f.types
		reply.Version = bayeux.Version
		reply.Advice = f.advice()
		w.send(reply)
		return nil
	}
	if s == nil {
		reply.Outcome, reply.Error = bayeux.Failed, "402::session_unknown"
		if m.Channel == bayeux.MetaConnect {
			reply.Advice = &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(0)}
		}
		w.send(reply)
		return nil
	}
	f.mu.Lock()
	if !w.conn.Peer().Once {
		s.wire = w
	} else {
		s.wire = nil
	}
	f.mu.Unlock()
	switch m.Channel {
	case bayeux.MetaConnect:
		return w.connect(s, m, reply)
	case bayeux.MetaSubscribe:
		f.mu.Lock()
		s.subs = append(s.subs, m.Subscription.Channels...)
		f.mu.Unlock()
	case bayeux.MetaUnsubscribe:
		f.mu.Lock()
		s.subs = slices.DeleteFunc(s.subs, func(ch string) bool { return slices.Contains(m.Subscription.Channels, ch) })
		f.mu.Unlock()
	case bayeux.MetaDisconnect:
		f.mu.Lock()
		delete(f.sessions, s.id)
		f.mu.Unlock()
		w.send(reply)
		s.release(&bayeux.Advice{Reconnect: bayeux.NoReconnect})
		return nil
	default:
		f.publish(m.Channel, string(m.Data))
	}
	w.send(reply)
	return nil
}

// connect answers at once, or holds.
func (w *wire) connect(s *session, m, reply *bayeux.Message) *session {
	f := w.f
	f.mu.Lock()
	atOnce := !s.seen || m.Advice != nil && m.Advice.Timeout.Or(time.Hour) == 0
	s.seen = true
	if s.held != nil && !atOnce && (s.on == nil && s.wire == w || s.on != nil && s.on.conn.Context().Err() == nil) {
		f.doubled++
	}
	if m.Advice != nil {
		reply.Advice = f.advice()
	}
	queued := s.queue
	s.queue = nil
	if w.conn.Peer().Once {
		defer f.mu.Unlock()
		w.out = append(w.out, queued...)
		if atOnce || len(queued) > 0 {
			w.out = append(w.out, reply)
			return nil
		}
		s.held, s.on = reply, w
		return s
	}
	if s.timer != nil {
		s.timer.Stop() // replaced
	}
	s.held = nil
	if !atOnce {
		s.held = reply
		s.timer = time.AfterFunc(f.hold, func() { s.release(nil) })
	}
	f.mu.Unlock()
	w.send(queued...)
	if atOnce {
		w.send(reply)
	}
	return nil
}

// answer ends an exchange, holding it first if it is a connect that may be held.
func (w *wire) answer(hold *session) {
	if hold != nil {
		select {
		case <-hold.woken:
		case <-time.After(w.f.hold):
		case <-w.conn.Context().Done():
			w.f.mu.Lock()
			if hold.on == w {
				hold.held, hold.on = nil, nil
			}
			w.f.mu.Unlock()
			return
		}
		w.f.mu.Lock()
		hold.on = nil
		w.out = append(w.out, hold.queue...)
		hold.queue = nil
		if hold.held != nil {
			w.out = append(w.out, hold.held)
			hold.held = nil
		}
		w.f.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out != nil {
		w.flush(w.out...)
	}
}

// send sends on a stream, or keeps for the exchange's answer.
func (w *wire) send(ms ...*bayeux.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mum {
		return
	}
	if w.conn.Peer().Once {
		w.out = append(w.out, ms...)
		return
	}
	for _, m := range ms {
		w.flush(m)
	}
}

func (w *wire) flush(ms ...*bayeux.Message) {
	if w.dead.Load() {
		return
	}
	if id := w.twice.Load(); id != nil {
		if i := slices.IndexFunc(ms, func(m *bayeux.Message) bool { return m.ID == *id }); i >= 0 {
			ms = w.repeat(ms, ms[i])
		}
	}
	p := transport.Payload{}
	for _, m := range ms {
		b, err := codec.AppendMessage(nil, m)
		if err != nil {
			panic(err)
		}
		p.Messages = append(p.Messages, b)
		if m.Channel == bayeux.MetaHandshake {
			p.Kind = transport.Handshake
		}
	}
	w.conn.Send(&p)
}

// repeat sends m twice: with ms, and on a stream once more a little later, when
// the client waits for the next reply.
func (w *wire) repeat(ms []*bayeux.Message, m *bayeux.Message) []*bayeux.Message {
	w.twice.Store(nil)
	if !w.conn.Peer().Once {
		time.AfterFunc(100*time.Millisecond, func() { w.send(m) })
	}
	return append(slices.Clone(ms), m)
}

// mute runs f, and nothing it sends leaves.
func (w *wire) mute(f func()) {
	w.mu.Lock()
	w.mum = true
	w.mu.Unlock()
	f()
	w.mu.Lock()
	w.mum = false
	w.mu.Unlock()
}

// hang leaves the request unanswered for ever.
func (w *wire) hang() {
	if w.conn.Peer().Once {
		<-w.conn.Context().Done()
	}
}

// raw sends one payload as it is.
func (w *wire) raw(message string) {
	w.conn.Send(&transport.Payload{Messages: [][]byte{[]byte(message)}})
}
