package longpoll

import (
	"sync/atomic"
	"time"

	"github.com/gocometd/cometd/transport"
)

// Over HTTP/2 a peer that takes nothing of its connection holds up every Write
// there: a deadline only makes net/http say that the stream is over, and that
// waits like all else. So the answer is written on a goroutine of its own, which
// Send leaves behind when it must. The request's goroutine waits for it, until
// the http.Server gives the connection up.
type apart struct {
	freed chan struct{} // closed by Close
	clock *time.Timer   // runs while nothing leaves; nil: for ever
	busy  atomic.Bool   // someone writes
}

// writeApart is write for HTTP/2.
func (h *held) writeApart(t text) error {
	var stalled <-chan time.Time
	if d := h.accept.Stall; d > 0 {
		h.apart.clock = time.NewTimer(d)
		defer h.apart.clock.Stop()
		stalled = h.apart.clock.C
	}
	written := make(chan error, 1)
	h.apart.busy.Store(true)
	go func() {
		err := h.write(t)
		h.apart.busy.Store(false)
		written <- err
	}()
	var err error
	select {
	case err := <-written:
		return err
	case <-stalled:
		err = &transport.Error{Type: h.peer.Type, Op: "send", Reason: transport.Stalled}
	case <-h.apart.freed:
		err = transport.ErrClosed
	}
	select {
	case err = <-written: // at the same moment
	default:
	}
	return err
}
