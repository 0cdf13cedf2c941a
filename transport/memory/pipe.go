package memory

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// window is how many bytes a stream holds between its ends before Send blocks,
// much like a socket's buffers. A payload of any size fits when nothing else
// is under way.
const window = 64 << 10

// Pipe makes a stream and returns its two ends. What is sent into one is
// received from the other. Send blocks while 64 KiB wait to be received. After
// Close the other end still receives what had been sent, then io.EOF, or a
// *transport.Error with the Reason if that was not Normal.
func Pipe() (a, b transport.Conn) {
	left, right := pipe(&transport.Target{}, "")
	return left, right
}

// pipe makes both ends of a stream; both refuse to read more than t.Limit.
func pipe(t *transport.Target, browser string) (client, server *stream) {
	there, back := newFlow(), newFlow()
	client = newStream(back, there, t.Limit)
	server = newStream(there, back, t.Limit)
	client.peer = transport.Peer{Type: bayeux.WebSocket, Addr: "server", URL: t.URL}
	server.peer = transport.Peer{Type: bayeux.WebSocket, URL: t.URL, Header: t.Header, Browser: browser}
	return client, server
}

// A stream is one end of a Pipe.
type stream struct {
	in, out *flow
	limit   int
	peer    transport.Peer
	ctx     context.Context
	cancel  context.CancelFunc
}

func newStream(in, out *flow, limit int) *stream {
	s := &stream{in: in, out: out, limit: limit}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (s *stream) Receive() (io.Reader, error) {
	p, err := s.in.take()
	if err != nil {
		s.cancel()
		return nil, err
	}
	return limited(p, s.limit, &s.peer), nil
}

func (s *stream) Send(p *transport.Payload) error {
	lock.None()
	return s.out.put(p.AppendTo(make([]byte, 0, p.Len())))
}

func (s *stream) Close(r transport.Reason) error { return s.Refuse(r, "") }

func (s *stream) Refuse(r transport.Reason, text string) error {
	s.out.end(r, text, false) // first: who finds the end of the other one may close too
	s.in.end(r, text, true)
	s.cancel()
	return nil
}

func (s *stream) Peer() *transport.Peer    { return &s.peer }
func (s *stream) Context() context.Context { return s.ctx }

// A flow is one direction of a stream: payloads on their way.
type flow struct {
	mu     lock.Mutex[lock.Conn]
	moved  sync.Cond // something was put or taken, or the flow ended
	queue  [][]byte
	bytes  int
	ended  bool
	reason transport.Reason
	text   string // the reason in words
	deaf   bool   // the receiving end closed
}

func newFlow() *flow {
	f := &flow{}
	f.moved.L = &f.mu
	return f
}

func (f *flow) put(p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.ended && f.bytes > 0 && f.bytes+len(p) > window {
		f.moved.Wait()
	}
	if f.ended {
		return transport.ErrClosed
	}
	f.queue = append(f.queue, p)
	f.bytes += len(p)
	f.moved.Broadcast()
	return nil
}

func (f *flow) take() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.ended && len(f.queue) == 0 {
		f.moved.Wait()
	}
	if f.deaf {
		return nil, transport.ErrClosed
	}
	if len(f.queue) == 0 {
		return nil, ending(f.reason, f.text)
	}
	p := f.queue[0]
	f.queue[0] = nil
	f.queue = f.queue[1:]
	f.bytes -= len(p)
	f.moved.Broadcast()
	return p, nil
}

// end ends the flow. Its receiving end hears nothing any more, its sending end
// leaves what was sent.
func (f *flow) end(r transport.Reason, text string, receiver bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended, f.reason, f.text = true, r, text
	}
	if receiver {
		f.deaf, f.queue, f.bytes = true, nil, 0
	}
	f.moved.Broadcast()
}

// ending is what the other end hears after Refuse(r, text).
func ending(r transport.Reason, text string) error {
	if r == transport.Normal {
		return io.EOF
	}
	return &transport.Error{Type: bayeux.WebSocket, Op: "receive", Reason: r, Detail: text}
}

// limited reads p, or up to the limit and then fails.
func limited(p []byte, limit int, peer *transport.Peer) io.Reader {
	if limit <= 0 || len(p) <= limit {
		return bytes.NewReader(p)
	}
	over := &transport.Error{Type: peer.Type, Op: "receive", Reason: transport.TooLarge, Limit: limit}
	return io.MultiReader(bytes.NewReader(p[:limit]), failing{over})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
