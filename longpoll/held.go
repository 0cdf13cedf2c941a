package longpoll

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gocometd/cometd/internal/lock"
	"github.com/gocometd/cometd/transport"
)

// A held is the server's end of one exchange: a request that waits for its
// answer.
type held struct {
	w      http.ResponseWriter
	r      *http.Request
	rc     http.ResponseController
	accept *transport.Accept
	config *acceptConfig
	peer   *transport.Peer
	ctx    context.Context // done when answered, closed, or the requester is gone
	cancel context.CancelFunc

	body     bounded
	read     bool   // Receive gave the request
	callback string // JSONP: the function around the answer

	writing sync.WaitGroup // who uses w
	apart   *apart         // on HTTP/2: how

	mu     lock.Mutex[lock.Conn]
	state  state
	cut    bool             // Close has freed the Send in progress
	whole  bool             // all of the body is there
	reason transport.Reason // why it ended unanswered
	text   string           // the same in words
	fault  *transport.Error // what the body's reader failed with
}

type state int8

const (
	open     state = iota
	sending        // Send has the answer, in memory of its own
	answered       // or failed to
	closed         // by Close, before any Send: finish answers
	over           // w is dead
)

func newHeld(w http.ResponseWriter, r *http.Request, o *transport.Accept, c *acceptConfig, typ string) *held {
	h := &held{w: w, r: r, rc: *http.NewResponseController(w), accept: o, config: c, reason: transport.Internal}
	h.peer = o.Peer(r)
	h.peer.Type, h.peer.Once = typ, true
	h.ctx, h.cancel = context.WithCancel(r.Context())
	if r.ProtoMajor > 1 {
		h.apart = &apart{freed: make(chan struct{})}
		if web, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && web.WriteTimeout > 0 {
			h.rc.SetWriteDeadline(time.Time{}) // it would end a held request; on HTTP/1 only a write feels it
		}
	}
	return h
}

func (h *held) Peer() *transport.Peer    { return h.peer }
func (h *held) Context() context.Context { return h.ctx }

// Receive gives the request, also of one who seems to be gone by now, then waits until
// it is over.
func (h *held) Receive() (io.Reader, error) {
	h.mu.Lock()
	given := h.read || h.state != open
	h.mu.Unlock()
	if given {
		<-h.ctx.Done()
		return nil, io.EOF
	}
	h.read = true
	return &h.body, nil
}

// Send answers. Who says no more may listen all the same (docs/protocol.md §9): what
// was carried out is answered, and only a connect and events are kept from one who
// seems to be gone.
func (h *held) Send(p *transport.Payload) error {
	lock.None()
	h.mu.Lock()
	if h.state != open || p.Kind == transport.Connect && h.ctx.Err() != nil {
		h.mu.Unlock()
		return transport.ErrClosed
	}
	h.state = sending
	t := h.encode(p) // a copy, so that Close need not wait for the network
	h.writing.Add(1)
	h.mu.Unlock()

	err := h.answer(t, p)
	h.mu.Lock()
	h.state = answered
	h.mu.Unlock()
	h.cancel()
	return err
}

// Close ends the exchange. The goroutine of the request answers with r's
// status, so Close itself writes nothing and cannot be held up.
func (h *held) Close(r transport.Reason) error { return h.Refuse(r, "") }

// Refuse is Close with a text for the answer's one line.
func (h *held) Refuse(r transport.Reason, text string) error {
	h.mu.Lock()
	if h.state == open {
		h.state, h.reason, h.text = closed, r, text
		if !h.whole && h.fault == nil { // frees who reads it
			h.rc.SetReadDeadline(past)
		}
	}
	h.cutLocked()
	h.mu.Unlock()
	h.cancel()
	return nil
}

// past is a deadline that frees who waits.
var past = time.Unix(1, 0)

// cutLocked frees a Send that waits for the network.
func (h *held) cutLocked() {
	if h.state != sending || h.cut {
		return
	}
	h.cut = true
	if h.apart == nil {
		h.rc.SetWriteDeadline(past)
	} else {
		close(h.apart.freed)
	}
}

// finish takes w back, and answers if nobody has.
func (h *held) finish() {
	h.mu.Lock()
	h.cutLocked()
	unanswered := h.state == open || h.state == closed
	if unanswered {
		h.state = over
	}
	failure := h.failure()
	h.mu.Unlock()
	h.cancel()
	if unanswered { // even if the requester is gone: else net/http would say 200
		refuse(h.w, h.r, h.accept, failure)
	}
	if h.apart != nil && h.apart.busy.Load() {
		h.rc.SetWriteDeadline(past) // Send has left it behind
	}
	h.writing.Wait()
}

// failure is what the requester is told when there is no payload for it.
func (h *held) failure() *transport.Error {
	if h.fault != nil {
		return h.fault
	}
	e := &transport.Error{Reason: h.reason, Status: h.reason.Status()}
	if h.reason == transport.Replaced {
		e.Status = h.config.replaced
	}
	if h.text != "" {
		e.Err = errors.New(transport.Detail(h.text))
	}
	return e
}

// extend gives the next write its time to make progress. It also takes the
// place of the http.Server's WriteTimeout, which held requests outlive.
func (h *held) extend() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.cut:
		return transport.ErrClosed
	case h.apart == nil:
		h.rc.SetWriteDeadline(deadline(h.accept.Stall))
	case h.apart.clock != nil:
		h.apart.clock.Reset(h.accept.Stall)
	}
	return nil
}

func deadline(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
