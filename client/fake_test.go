package client

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
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

func (f *fake) advice() *bayeux.Advice {
	return &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(0), Timeout: bayeux.SpanOf(f.hold)}
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

var streams, polls = "stream", "polls"

var errRefused = errors.New("connection refused")

const testURL = "http://fake/cometd"

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
