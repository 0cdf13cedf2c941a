//go:build !js

package wire

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// Why a Socket was cut.
var (
	// ErrStalled reports a peer that took nothing for the stall limit.
	ErrStalled = errors.New("wire: the peer takes nothing")

	// ErrSilent reports a peer that did not answer a ping.
	ErrSilent = errors.New("wire: the peer is silent")

	errTwoFrames = errors.New("wire: a frame is waiting already")
)

// A Config says how a Socket behaves. It is fixed before the first frame.
type Config struct {
	Client bool          // frames are masked
	Stall  time.Duration // a write without progress for this long cuts the Socket; 0: never

	// Explain puts an error into the terms of whoever uses the Socket. It gets
	// "send" or "receive" and never nil.
	Explain func(op string, err error) error
}

// A Socket writes frames to a connection. See the package comment.
type Socket struct {
	net.Conn
	cfg     Config
	deflate int             // payloads from this size on are compressed; 0: none
	raw     syscall.RawConn // nil: only blocking writes
	pulse   *pulse          // nil: no pings

	mu        lock.Mutex[lock.Socket]
	busy      bool   // someone writes without holding mu
	shut      bool   // a close frame was sent or waits: no data after it
	lingering bool   // the deadline for reads is Linger's
	err       error  // why nothing goes out any more
	data      job    // the frame that waits for the wire
	control   []byte // the newest control frame that waits for the wire

	drains sync.WaitGroup

	reading lock.Turn[lock.Reading] // held during a read
	mute    bool                    // reads find the end

	reads  atomic.Uint32 // odd: a read is waiting
	writes atomic.Uint32 // pieces that push has written
}

// NewSocket wraps nc, which must be good for one reader and one writer at once.
func NewSocket(nc net.Conn, cfg Config) *Socket {
	return &Socket{Conn: nc, cfg: cfg, raw: bare(nc)}
}

// Deflate compresses payloads of n bytes and more from now on. The peer must
// have agreed to permessage-deflate.
func (s *Socket) Deflate(n int) {
	s.mu.Lock()
	s.deflate = max(n, 1)
	s.mu.Unlock()
}

// CanStart reports whether Start may be used: whether the connection can be
// written without blocking.
func (s *Socket) CanStart() bool { return s.raw != nil }

// pong answers a ping. It never waits for data frames: while one is being
// written the newest control frame waits, and older ones are forgotten, which
// RFC 6455 §5.5.3 allows for pongs.
func (s *Socket) pong(payload []byte) {
	s.mu.Lock()
	if s.err != nil || s.shut {
		s.mu.Unlock()
		return
	}
	s.putAndUnlock(control(fin|opPong, payload, s.cfg.Client))
}

// putAndUnlock sends a control frame now, or leaves it to who is writing. Called
// with mu held; returns without it.
func (s *Socket) putAndUnlock(f []byte) {
	if s.busy {
		s.control = append(s.control[:0], f...)
		s.mu.Unlock()
		return
	}
	if s.raw != nil {
		s.begin(f)
		s.mu.Unlock()
		return
	}
	s.busy = true
	s.mu.Unlock()
	s.pass(s.push(f))
}

// Close cuts the connection.
func (s *Socket) Close() error {
	s.mu.Lock()
	s.stop(net.ErrClosed)
	s.mu.Unlock()
	return s.Conn.Close()
}

// cut ends everything at once because of err: without a close frame, and
// without TLS's farewell, which could block. Called with mu held.
func (s *Socket) cut(err error) {
	s.stop(err)
	if t, ok := s.Conn.(interface{ NetConn() net.Conn }); ok {
		t.NetConn().Close()
		return
	}
	s.Conn.Close()
}

// stop lets nothing more out. Called with mu held.
func (s *Socket) stop(err error) {
	if s.err == nil {
		s.err = err
	}
	if s.pulse != nil {
		s.pulse.timer.Stop()
	}
}

// cause is why the Socket ended: nil while it lives.
func (s *Socket) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.shut {
		return net.ErrClosed
	}
	return s.err
}
