//go:build !js

package wire

import (
	"io"
	"net"
	"time"
)

const (
	// farewell is how long a frame in flight may take once Shut was called.
	farewell = 100 * time.Millisecond

	// parting is how long the close frame may take where no frame is in flight.
	// There is room for it then, so this is for a machine that is too busy to
	// write it at once: a deadline that has passed fails any write.
	parting = 2 * time.Second

	// discarded is what Linger reads at most.
	discarded = 256 << 10
)

// past frees whoever waits on a connection's deadline.
var past = time.Unix(1, 0)

// Shut sends a close frame and lets nothing out after it. It waits for nobody:
// a frame that is being written gets a moment to end, and if that does not do,
// the connection is cut without the close frame. It frees a read that waits.
// Only the first close frame counts.
func (s *Socket) Shut(code int, text string) {
	s.mu.Lock()
	if s.err != nil || s.shut {
		if !s.lingering {
			s.SetReadDeadline(past)
		}
		s.mu.Unlock()
		return
	}
	s.shut = true
	if s.pulse != nil {
		s.pulse.timer.Stop()
	}
	wait := parting
	if s.busy {
		wait = farewell
	}
	if err := s.SetWriteDeadline(time.Now().Add(wait)); err != nil && s.raw == nil {
		s.cut(net.ErrClosed) // it could block for ever
		s.mu.Unlock()
		return
	}
	s.SetReadDeadline(past) // before putAndUnlock, for Linger sets another
	s.putAndUnlock(closeFrame(code, text, s.cfg.Client))
}

// Linger ends the connection for good after Shut, and waits for every goroutine
// of the Socket. If the peer has not closed yet it gets up to d for that: to
// close a connection with unread bytes makes the kernel reset it, and the peer
// may lose what it has not read yet, the close frame included.
func (s *Socket) Linger(d time.Duration) {
	s.mu.Lock()
	open, busy := s.err == nil, s.busy
	s.lingering = true
	s.mu.Unlock()
	if open {
		s.Mute() // Shut has freed who reads
		if c, ok := s.Conn.(interface{ CloseWrite() error }); ok && !busy {
			_ = c.CloseWrite() // it is closed as a whole soon
		}
		s.SetReadDeadline(time.Now().Add(d))
		_, _ = io.CopyN(io.Discard, s.Conn, discarded)
	}
	s.Close()
	s.drains.Wait()
}
