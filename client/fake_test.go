package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/stretchr/testify/require"
)

// A fake is a small Bayeux server that counts what it is asked, and that a
// test can make do wrong. It serves streams and exchanges.
type fake struct {
	hold  time.Duration // of a connect
	types []string

	// first, if set, may take a message over: it returns true and has done
	// with it whatever it likes.
	first func(w *wire, m *bayeux.Message) bool

	mu       sync.Mutex
	sessions map[string]*session
	made     int
	asked    map[string]int // messages by channel
	times    []time.Time    // of all handshakes and connects
	payloads [][]*bayeux.Message
	live     map[*wire]struct{} // all that are being served
	doubled  int                // connects that came while one was held over the same wire
}

type session struct {
	id    string
	f     *fake
	subs  []string
	queue []*bayeux.Message
	wire  *wire // the stream, if it is on one
	on    *wire // the exchange whose connect is held
	held  *bayeux.Message
	timer *time.Timer
	woken chan struct{} // a held exchange is to answer
	seen  bool          // its first connect was answered
}

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

func newFake() *fake {
	return &fake{
		hold: 20 * time.Second, sessions: make(map[string]*session), asked: make(map[string]int),
		types: []string{bayeux.WebSocket, bayeux.LongPolling}, live: make(map[*wire]struct{}),
	}
}

func (f *fake) serve(conn transport.Conn) {
	w := &wire{f: f, conn: conn, mu: make(turn, 1)}
	f.mu.Lock()
	f.live[w] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.live, w)
		f.mu.Unlock()
	}()
	for {
		r, err := conn.Receive()
		if err != nil {
			return
		}
		b, err := codec.Read(r, codec.Limits{})
		if err != nil {
			conn.Close(transport.BadPayload)
			return
		}
		ms := b.Detach()
		b.Release()
		f.mu.Lock()
		f.payloads = append(f.payloads, ms)
		f.mu.Unlock()
		var hold *session
		for _, m := range ms {
			f.note(m)
			if f.first != nil && f.first(w, m) {
				continue
			}
			if s := w.handle(m); s != nil {
				hold = s
			}
		}
		if conn.Peer().Once {
			w.answer(hold)
		}
	}
}

func (f *fake) note(m *bayeux.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[m.Channel]++
	if m.Channel == bayeux.MetaHandshake || m.Channel == bayeux.MetaConnect {
		f.times = append(f.times, time.Now())
	}
}

// open is how many connections are being served.
func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.live)
}

func (f *fake) count(ch string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[ch]
}

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

func (f *fake) advice() *bayeux.Advice {
	return &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(0), Timeout: bayeux.SpanOf(f.hold)}
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

// release answers a held connect.
func (s *session) release(a *bayeux.Advice) {
	s.f.mu.Lock()
	reply, w := s.held, s.wire
	if reply != nil && a != nil {
		reply.Advice = a
	}
	if w != nil {
		s.held = nil
	}
	s.f.mu.Unlock()
	if w == nil {
		select {
		case s.woken <- struct{}{}:
		default:
		}
		return
	}
	if reply != nil {
		w.send(reply)
	}
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

// reaches reports whether an event on ch would be delivered now.
func (f *fake) reaches(ch string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		if slices.ContainsFunc(s.subs, func(p string) bool { return bayeux.Channel(p).Match(ch) }) && (s.wire != nil || s.held != nil) {
			return true
		}
	}
	return false
}

// someWire is a stream that a session is on, if there is one.
func (f *fake) someWire() *wire {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		if s.wire != nil {
			return s.wire
		}
		if s.on != nil {
			return s.on
		}
	}
	return nil
}

// publishRaw sends text to a session as it is, on its stream or as the answer
// to its held connect.
func (f *fake) publishRaw(text string) {
	if w := f.someWire(); w != nil {
		w.raw(text)
	}
}

// raw sends one payload as it is.
func (w *wire) raw(message string) {
	w.conn.Send(&transport.Payload{Messages: [][]byte{[]byte(message)}})
}

// publish delivers data to all who subscribed to ch.
func (f *fake) publish(ch, data string) {
	f.mu.Lock()
	var streams []*wire
	for _, s := range f.sessions {
		if !slices.ContainsFunc(s.subs, func(p string) bool { return bayeux.Channel(p).WithoutFilter().Match(ch) }) {
			continue
		}
		if s.wire != nil {
			streams = append(streams, s.wire)
			continue
		}
		s.queue = append(s.queue, event(ch, data))
		if s.held != nil {
			select {
			case s.woken <- struct{}{}:
			default:
			}
		}
	}
	f.mu.Unlock()
	for _, w := range streams {
		w.send(event(ch, data))
	}
}

func event(ch, data string) *bayeux.Message {
	return &bayeux.Message{Channel: ch, Data: []byte(data)}
}

// letGo holds no connect of the session any more.
func (f *fake) letGo(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sessions[id]; s != nil {
		s.held = nil
		if s.timer != nil {
			s.timer.Stop()
		}
	}
}

// expel drops all sessions, and tells those whose connect is held.
func (f *fake) expel() {
	f.mu.Lock()
	gone := slices.Collect(maps.Values(f.sessions))
	clear(f.sessions)
	for _, s := range gone {
		if s.held != nil {
			s.held.Outcome, s.held.Error = bayeux.Failed, "402::session_unknown"
		}
	}
	f.mu.Unlock()
	for _, s := range gone {
		s.release(&bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(0)})
	}
}

// forget drops all sessions, as a restart does.
func (f *fake) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.sessions)
}

// subscribed counts the live sessions that subscribe to ch.
func (f *fake) subscribed(ch string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		if slices.Contains(s.subs, ch) {
			n++
		}
	}
	return n
}

// A switchboard is a dialer that tests can make fail, and whose Conns they can
// cut.
type switchboard struct {
	transport.Dialer
	mu       sync.Mutex
	err      error
	hangs    bool
	dials    int
	conns    []transport.Conn
	takes    time.Duration // a refusal
	refusals int
}

func (s *switchboard) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *switchboard) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	s.mu.Lock()
	err, hangs := s.err, s.hangs
	s.dials++
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	conn, dialErr := s.Dialer.Dial(ctx, t)
	if dialErr != nil {
		return nil, dialErr
	}
	if err != nil && !conn.Peer().Once {
		s.refuse(conn)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, conn)
	return counted{conn, s}, nil
}

// tries is how often something was dialled.
func (s *switchboard) tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// refuse counts what it refuses.
func (s *switchboard) refuse(conn transport.Conn) {
	conn.Close(transport.Internal)
	s.mu.Lock()
	s.refusals++
	s.mu.Unlock()
	time.Sleep(s.takes)
}

// cut breaks all connections.
func (s *switchboard) cut() {
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for _, c := range conns {
		c.Close(transport.Internal)
	}
}

// counted refuses an exchange when it is sent: to dial one is free.
type counted struct {
	transport.Conn
	s *switchboard
}

func (c counted) Send(p *transport.Payload) error {
	c.s.mu.Lock()
	err := c.s.err
	c.s.mu.Unlock()
	if err != nil {
		c.s.refuse(c.Conn)
		return err
	}
	return c.Conn.Send(p)
}

var streams, polls = "stream", "polls"

// both runs a test on a stream and on exchanges.
func both(t *testing.T, run func(t *testing.T, f *fake, d *switchboard)) {
	for _, kind := range []string{streams, polls} {
		t.Run(kind, func(t *testing.T) {
			f := newFake()
			run(t, f, board(f, kind))
		})
	}
}

func board(f *fake, kind string) *switchboard {
	if kind == polls {
		return &switchboard{Dialer: memory.NewPollDialer(f.serve)}
	}
	return &switchboard{Dialer: memory.NewDialer(f.serve)}
}

var errRefused = errors.New("connection refused")

const testURL = "http://fake/cometd"

func start(t *testing.T, dialers []transport.Dialer, opts ...Option) *Client {
	t.Helper()
	c, err := New(testURL, append([]Option{WithTransports(dialers...)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c
}

func dialers(ds ...*switchboard) (out []transport.Dialer) {
	for _, d := range ds {
		out = append(out, d)
	}
	return out
}

// kick ends a session from the server's side.
func (f *fake) kick(id string) {
	f.mu.Lock()
	s := f.sessions[id]
	delete(f.sessions, id)
	bare := &bayeux.Message{Channel: bayeux.MetaDisconnect, Outcome: bayeux.Succeeded}
	if s.wire == nil {
		s.queue = append(s.queue, bare)
		if s.held != nil {
			s.held.Advice = &bayeux.Advice{Reconnect: bayeux.NoReconnect}
		}
	}
	f.mu.Unlock()
	if s.wire != nil {
		s.wire.send(bare)
	}
	s.release(&bayeux.Advice{Reconnect: bayeux.NoReconnect})
}

// picky dials exchanges that refuse payloads of several messages with 422.
type picky struct {
	transport.Dialer
	f *fake
}

func (p *picky) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	conn, err := p.Dialer.Dial(ctx, t)
	return &pickyConn{Conn: conn}, err
}

type pickyConn struct {
	transport.Conn
	many bool
}

func (c *pickyConn) Send(p *transport.Payload) error {
	if c.many = len(p.Messages) > 1; c.many {
		return nil
	}
	return c.Conn.Send(p)
}

func (c *pickyConn) Receive() (io.Reader, error) {
	if c.many {
		return nil, &transport.Error{Type: bayeux.LongPolling, Op: "receive", Status: 422}
	}
	return c.Conn.Receive()
}
