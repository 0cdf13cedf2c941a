package longpoll

import (
	"context"
	"errors"
	"io"
	"net/http"
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

	writing lock.Turn[lock.Answering] // held during Send

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
	sending        // Send is writing the answer
	answered       // or failed to
	closed         // by Close, before any Send: finish answers
	over           // w is dead
)

func newHeld(w http.ResponseWriter, r *http.Request, o *transport.Accept, c *acceptConfig, typ string) *held {
	h := &held{w: w, r: r, rc: *http.NewResponseController(w), accept: o, config: c, reason: transport.Internal}
	h.peer = o.Peer(r)
	h.peer.Type, h.peer.Once = typ, true
	h.ctx, h.cancel = context.WithCancel(r.Context())
	return h
}

func (h *held) Peer() *transport.Peer    { return h.peer }
func (h *held) Context() context.Context { return h.ctx }

// Receive gives the request, then waits until it is over.
func (h *held) Receive() (io.Reader, error) {
	if h.read || h.ctx.Err() != nil {
		<-h.ctx.Done()
		return nil, io.EOF
	}
	h.read = true
	return &h.body, nil
}

// Send answers.
func (h *held) Send(p *transport.Payload) error {
	lock.None()
	if !h.writing.TryLock() {
		return transport.ErrClosed // of another Send, or of an end that waited for one
	}
	if !h.begin() {
		h.writing.Unlock()
		return transport.ErrClosed
	}
	err := h.answer(p)

	h.mu.Lock()
	h.state = answered
	h.mu.Unlock()
	h.writing.Unlock()
	h.cancel()
	return err
}

// begin makes this the Send that answers.
func (h *held) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != open || h.ctx.Err() != nil {
		return false
	}
	h.state = sending
	return true
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
			h.rc.SetReadDeadline(time.Unix(1, 0))
		}
	}
	h.cutLocked()
	h.mu.Unlock()
	h.cancel()
	h.writing.Lock() // until a Send that was cut has let go of its payload
	defer h.writing.Unlock()
	return nil
}

// cutLocked frees a Send that waits for the network.
func (h *held) cutLocked() {
	if h.state == sending && !h.cut {
		h.cut = true
		h.rc.SetWriteDeadline(time.Unix(1, 0))
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
	h.writing.Lock()
	defer h.writing.Unlock()
	if unanswered { // even if the requester is gone: else net/http would say 200
		_ = h.extend() // one that was cut is told, if that is possible
		refuse(h.w, h.r, failure)
	}
	h.cancel()
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
	if h.cut {
		return transport.ErrClosed
	}
	h.rc.SetWriteDeadline(deadline(h.accept.Stall))
	return nil
}

func deadline(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}
