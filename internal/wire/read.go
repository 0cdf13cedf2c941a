//go:build !js

package wire

import (
	"errors"
	"io"
	"sync"
)

// ReadSize is the library's read buffer: an idle connection holds no more. A
// read that fills it is followed by one into a pooled buffer of aheadSize.
const ReadSize = 256

const aheadSize = 16 << 10

var aheads = sync.Pool{New: func() any { return new([aheadSize]byte) }}

// ahead is what was read before anybody asked for it.
type ahead struct {
	b    []byte
	pool *[aheadSize]byte
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
	if a.pool != nil {
		aheads.Put(a.pool)
	}
	*a = ahead{}
}

// Read reads for the library.
func (s *Socket) Read(p []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.mute {
		return 0, io.EOF
	}
	if len(s.ahead.b) > 0 {
		return s.ahead.take(p), nil
	}
	s.reads.Add(1)
	n, err := s.Conn.Read(p)
	s.reads.Add(1)
	if err != nil {
		s.readErr = err
		return n, err
	}
	s.pulse.hear()
	if s.cfg.Client && s.begun < 2 && s.masks(p[:n]) {
		return 0, errMasked
	}
	if n == ReadSize && s.raw != nil {
		s.readAhead()
	}
	return n, nil
}

var errMasked = errors.New("wire: the server masks its frames")

// masks reports whether p, with which a server's first frame begins or goes on,
// shows its mask bit (RFC 6455 §5.1). A server that masks does so from the first
// frame on; to see the bit of each would be to read all headers twice.
func (s *Socket) masks(p []byte) bool {
	second := 1 - s.begun
	s.begun += len(p)
	return second < len(p) && p[second]&masked != 0
}

// Mute makes every Read find the end, or no longer. It waits for a Read under
// way. It keeps the library from waiting three seconds for more of an answer
// that opens no WebSocket.
func (s *Socket) Mute(on bool) {
	s.reading.Lock()
	s.mute = on
	s.reading.Unlock()
}

// readAhead takes what has arrived already, so that a peer with much to say
// costs a system call per 16 KiB and not per 256 bytes.
func (s *Socket) readAhead() {
	pool := aheads.Get().(*[aheadSize]byte)
	n, err := tryRead(s.raw, pool[:])
	if n <= 0 || err != nil { // the next Read says what is wrong
		aheads.Put(pool)
		return
	}
	s.ahead = ahead{pool[:n], pool}
}
