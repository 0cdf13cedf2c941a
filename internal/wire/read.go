//go:build !js

package wire

import (
	"io"
	"sync"
	"syscall"
	"time"
)

// aheadSize is what one read of a busy connection takes at most. The memory is
// lent for as long as something of it is unused, so an idle connection, which
// waits without any, holds none.
const aheadSize = 16 << 10

// idleSize is what a connection holds that cannot be asked whether there is
// something to read, such as TLS, which has larger buffers anyway.
const idleSize = 1 << 10

// direct is from where on payload is read to where it is wanted, past ahead.
const direct = 4 << 10

var aheads = sync.Pool{New: func() any { return new([aheadSize]byte) }}

// ahead is what was read before anybody asked for it.
type ahead struct {
	b    []byte
	lent *[aheadSize]byte      // where b lies, if that is lent
	own  []byte                // where it lies otherwise
	try  func(fd uintptr) bool // attempt, made once
	err  error                 // of attempt
	pace pace
}

func (a *ahead) put(p []byte) {
	if len(p) > 0 {
		a.b = append([]byte(nil), p...)
	}
}

func (a *ahead) take(p []byte) int {
	n := copy(p, a.b)
	if a.b = a.b[n:]; len(a.b) == 0 {
		a.drop()
	}
	return n
}

func (a *ahead) drop() {
	if a.lent != nil {
		aheads.Put(a.lent)
	}
	a.b, a.lent = nil, nil
}

// wait waits for bytes of a connection that tells when there are some.
func (a *ahead) wait(raw syscall.RawConn) error {
	if a.try == nil {
		a.try = a.attempt
	}
	a.err = nil
	if err := raw.Read(a.try); err != nil {
		return err
	}
	return a.err
}

// waitIn waits for bytes of any other connection.
func (a *ahead) waitIn(r io.Reader) error {
	if a.own == nil {
		a.own = make([]byte, idleSize)
	}
	begin := time.Now()
	n, err := r.Read(a.own)
	a.pace.read(time.Since(begin))
	if n > 0 {
		err = nil // it comes again
	}
	a.b = a.own[:n]
	return err
}

// receive waits for bytes and puts them into a, which is empty.
func (s *Socket) receive(a *ahead) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.mute {
		return io.EOF
	}
	s.reads.Add(1)
	defer s.reads.Add(1)
	var err error
	if s.raw != nil {
		err = a.wait(s.raw)
	} else {
		err = a.waitIn(s.Conn)
	}
	if err == nil {
		s.pulse.hear()
	}
	return err
}

// receiveInto waits for bytes and puts them into p.
func (s *Socket) receiveInto(p []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.mute {
		return 0, io.EOF
	}
	s.reads.Add(1)
	defer s.reads.Add(1)
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.pulse.hear()
		return n, nil
	}
	return 0, err
}

// Mute makes every read find the end. It waits for a read under way.
func (s *Socket) Mute() {
	s.reading.Lock()
	s.mute = true
	s.reading.Unlock()
}
