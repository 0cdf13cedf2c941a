//go:build !js

package wire

import (
	"bytes"
	"errors"
	"net"
	"os"
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// piece is what one write takes at most, so that the stall limit measures
// progress and not the size of a frame.
const piece = 16 << 10

// A Body appends the text of one message.
type Body interface{ AppendTo(dst []byte) []byte }

// A job is a frame, or what the kernel left of it, on its way out.
type job struct {
	frame []byte
	buf   *buffer // where frame lies; nil: its own memory
	done  func(error)
}

func (s *Socket) finish(j job, err error) {
	j.buf.free()
	if j.done != nil {
		j.done(s.explain(err))
	}
}

func (s *Socket) explain(err error) error {
	if err == nil {
		return nil
	}
	return s.cfg.Explain("send", err)
}

// Send writes body as one frame and returns when the kernel has it. One Send at
// a time. Shut and Close free it. It uses body only until it starts to wait.
func (s *Socket) Send(body Body) error {
	lock.None()
	buf := newBuffer()
	s.mu.Lock()
	if err := s.refusal(); err != nil {
		s.mu.Unlock()
		buf.free()
		return s.explain(err)
	}
	buf, f := s.build(buf, body)
	if s.busy {
		sent := make(chan error, 1)
		s.data = job{f, buf, func(err error) { sent <- err }}
		s.mu.Unlock()
		return <-sent
	}
	if s.raw != nil {
		if f = s.attempt(f); len(f) == 0 {
			s.mu.Unlock()
			buf.free()
			return nil
		}
	}
	s.busy = true
	s.mu.Unlock()
	err := s.push(f)
	buf.free()
	s.pass(err)
	return s.explain(err)
}

// Open sends head as it is, before the first frame: the answer after which the
// connection is a WebSocket. It never waits: frames do, for what the kernel does
// not take at once.
func (s *Socket) Open(head []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin(head)
}

// begin writes f, and leaves to a drainer what cannot be written without waiting.
// Called with mu held while nobody writes.
func (s *Socket) begin(f []byte) {
	if s.raw != nil {
		f = s.attempt(f)
	}
	if len(f) > 0 {
		s.spill(job{frame: bytes.Clone(f)})
	}
}

// Start is Send that never waits: see transport.Starter. Only if CanStart.
func (s *Socket) Start(body Body, done func(error)) bool {
	buf := newBuffer()
	s.mu.Lock()
	if err := s.refusal(); err != nil {
		s.mu.Unlock()
		buf.free()
		done(s.explain(err))
		return false
	}
	defer s.mu.Unlock()
	buf, f := s.build(buf, body)
	if s.busy {
		s.data = job{f, buf, done}
		return false
	}
	rest := s.attempt(f)
	if len(rest) == 0 {
		buf.free()
		return true
	}
	s.spill(job{rest, buf, done})
	return false
}

// refusal is why a frame cannot be taken now.
func (s *Socket) refusal() error {
	switch {
	case s.err != nil:
		return s.err
	case s.shut:
		return net.ErrClosed
	case s.data.frame != nil:
		return errTwoFrames
	}
	return nil
}

// build makes the frame, in buf or in the buffer it returns instead.
func (s *Socket) build(buf *buffer, body Body) (*buffer, []byte) {
	buf.b = body.AppendTo(buf.b)
	if s.deflate > 0 && len(buf.payload()) >= s.deflate {
		if small, ok := buf.deflate(); ok {
			buf.free()
			return small, small.frame(fin|rsv1|opText, s.cfg.Client)
		}
	}
	return buf, buf.frame(fin|opText, s.cfg.Client)
}

// attempt writes f without blocking and returns what the kernel refused. If the
// connection is broken that is all of f, and who pushes it next finds out.
func (s *Socket) attempt(f []byte) []byte {
	n, err := tryWrite(s.raw, f)
	if err != nil {
		s.cut(err)
	}
	return f[n:]
}

// spill starts a drainer for j. Called with mu held.
func (s *Socket) spill(j job) {
	s.busy = true
	s.drains.Go(func() { s.drain(j) })
}

// drain writes j and then whatever came to wait meanwhile.
func (s *Socket) drain(j job) {
	for more := true; more; {
		err := s.push(j.frame)
		s.mu.Lock()
		var next job
		next, more = s.release(err)
		s.mu.Unlock()
		s.finish(j, err) // after release: done may call Start
		j = next
	}
}

// pass gives up the wire after a write of the caller's own; a drainer sends
// what came to wait.
func (s *Socket) pass(err error) {
	s.mu.Lock()
	next, more := s.release(err)
	if more && s.err == nil {
		s.spill(next)
		more = false
	}
	s.mu.Unlock()
	if more {
		s.drain(next) // nothing blocks any more
	}
}

// release gives up the wire, or says what is to be written before that: data
// first, so that a flood of pings cannot hold it up. Called with mu held.
func (s *Socket) release(err error) (next job, more bool) {
	if err != nil && s.err == nil {
		s.cut(err)
	}
	switch {
	case s.data.frame != nil:
		next, s.data = s.data, job{}
		return next, true
	case s.control != nil && s.err == nil:
		next, s.control = job{frame: s.control}, nil
		return next, true
	}
	s.busy = false
	if s.cfg.Stall > 0 && !s.shut {
		// A deadline outlives its write and would fail a later one.
		s.SetWriteDeadline(time.Time{})
	}
	return job{}, false
}

// push writes f, blocking, by pieces. Only who holds busy calls it.
func (s *Socket) push(f []byte) error {
	for len(f) > 0 {
		if err := s.arm(); err != nil {
			return err
		}
		n, err := s.Conn.Write(f[:min(len(f), piece)])
		if err != nil {
			return s.reason(err)
		}
		s.writes.Add(1)
		f = f[n:]
	}
	return nil
}

// arm gives the next piece its time. After Shut there is no more than Shut left.
func (s *Socket) arm() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && s.cfg.Stall > 0 && !s.shut {
		s.SetWriteDeadline(time.Now().Add(s.cfg.Stall))
	}
	return s.err
}

// reason makes ErrStalled of a missed deadline, and finds the first cause of a
// write that failed because the Socket was cut.
func (s *Socket) reason(err error) error {
	if cause := s.cause(); cause != nil {
		return cause
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrStalled
	}
	return err
}
