package memory

import (
	"context"
	"io"
	"sync"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// An exchange is one request and its answer: what both ends share.
type exchange struct {
	d      *dialer
	t      *transport.Target
	ctx    context.Context // done when the exchange is over
	cancel context.CancelFunc
	peer   transport.Peer
	polled sync.Once     // the requester asks for the answer once
	ready  chan struct{} // closed when answer or err is set

	mu     lock.Mutex[lock.Conn]
	sent   bool
	closed bool   // by the requester
	over   bool   // answered or refused
	answer []byte // nil: err says why
	err    error
}

func newExchange(d *dialer, t *transport.Target) *exchange {
	e := &exchange{d: d, t: t, ready: make(chan struct{})}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.peer = transport.Peer{Type: d.typ, Once: true, Addr: "server", URL: t.URL}
	return e
}

func (e *exchange) Send(p *transport.Payload) error {
	lock.None()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sent || e.closed {
		return transport.ErrClosed
	}
	e.sent = true
	h := &held{e: e, request: p.AppendTo(make([]byte, 0, p.Len())), peer: e.peer}
	h.peer.Addr, h.peer.Header = "", e.t.Header
	h.peer.Browser, h.peer.Fresh = e.d.cookie(e.t)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	context.AfterFunc(e.ctx, h.cancel)
	go h.serve()
	return nil
}

func (e *exchange) Receive() (io.Reader, error) {
	first := false
	e.polled.Do(func() { first = true })
	if !first {
		return nil, io.EOF
	}
	select {
	case <-e.ready:
	case <-e.ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, transport.ErrClosed
	case e.err != nil:
		return nil, e.err
	}
	return limited(e.answer, e.t.Limit, &e.peer), nil
}

func (e *exchange) Close(transport.Reason) error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	return nil
}

func (e *exchange) Peer() *transport.Peer    { return &e.peer }
func (e *exchange) Context() context.Context { return e.ctx }

// finish gives the requester its answer, once.
func (e *exchange) finish(answer []byte, err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || e.closed {
		return transport.ErrClosed
	}
	e.over, e.answer, e.err = true, answer, err
	close(e.ready)
	return nil
}

// held is the server's end of an exchange.
type held struct {
	e       *exchange
	request []byte
	read    bool
	peer    transport.Peer
	ctx     context.Context
	cancel  context.CancelFunc
}

// serve runs the server's function; an exchange that it leaves unanswered fails.
func (h *held) serve() {
	defer h.Close(transport.Internal)
	h.e.d.serve(h)
}

func (h *held) Receive() (io.Reader, error) {
	if !h.read && h.ctx.Err() == nil {
		h.read = true
		return limited(h.request, h.e.t.Limit, &h.peer), nil
	}
	<-h.ctx.Done()
	return nil, io.EOF
}

func (h *held) Send(p *transport.Payload) error {
	lock.None()
	if p.Kind == transport.Handshake && h.peer.Fresh {
		h.e.d.setCookie(h.e.t, h.peer.Browser)
	}
	defer h.cancel()
	return h.e.finish(p.AppendTo(make([]byte, 0, p.Len())), nil)
}

func (h *held) Close(r transport.Reason) error { return h.Refuse(r, "") }

func (h *held) Refuse(r transport.Reason, text string) error {
	_ = h.e.finish(nil, &transport.Error{Type: bayeux.LongPolling, Op: "receive", Status: r.Status(), Reason: r, Detail: text})
	h.cancel()
	return nil
}

func (h *held) Peer() *transport.Peer    { return &h.peer }
func (h *held) Context() context.Context { return h.ctx }
