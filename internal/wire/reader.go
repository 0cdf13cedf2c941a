//go:build !js

package wire

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// A CloseError says that the connection ended with a close frame.
type CloseError struct {
	Code  int
	Text  string
	Local bool // it was this side that refused what came
	Limit int  // in bytes; the one that was broken, or 0
}

func (e *CloseError) Error() string {
	side := "peer"
	if e.Local {
		side = "this side"
	}
	return fmt.Sprintf("wire: closed by %s: %d %q", side, e.Code, e.Text)
}

// A Reader gives the text messages of a connection, one at a time, and answers
// its control frames. One goroutine uses it.
type Reader struct {
	sock  *Socket
	limit int    // bytes of a message; 0: no bound
	ended func() // told once that no message will come any more

	ahead ahead
	frame head // the data frame that is being read
	left  int64

	open bool // a message has begun and has not been read to its end
	over bool // its frames say that it is too large
	size int  // of what was read of it
	text text
	zip  *inflater // what undoes its compression; nil: it has none
	err  error     // how the connection ended

	compressed bool // messages may be
	window     *window
}

// NewReader reads from s. early is what was read from its connection too soon. A
// message over limit bytes is refused with 1009; zero or less means no bound.
// ended is called when the connection has ended for the reader.
func NewReader(s *Socket, early []byte, limit int, ended func()) Reader {
	r := Reader{sock: s, limit: max(limit, 0), ended: ended}
	r.ahead.put(early)
	return r
}

// Next skips what is left of a message and waits for another. The error is what
// Config.Explain makes of a *CloseError, ErrStalled, ErrSilent, net.ErrClosed
// after Shut or Close, or the network's own; it comes again at every further
// call.
func (r *Reader) Next() (io.Reader, error) {
	if r.open {
		_, _ = io.Copy(io.Discard, r) // r.err says how that ended
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := r.sock.cause(); err != nil {
		return nil, r.end(err) // what was read ahead is of no use
	}
	r.over = false
	if err := r.nextFrame(); err != nil {
		return nil, err
	}
	if r.frame.op() == opBinary {
		return nil, r.refuse(1003, "only text messages are taken")
	}
	r.open, r.size, r.text = true, 0, text{}
	if r.frame.first&rsv1 != 0 {
		r.zip = newInflater(r)
	}
	return r, nil
}

// Read reads the message that Next returned, until io.EOF.
func (r *Reader) Read(p []byte) (int, error) {
	if !r.open {
		if r.err != nil {
			return 0, r.err
		}
		return 0, io.EOF
	}
	n, err := r.some(p)
	r.size += n
	if err = r.judge(p[:n], err); err != nil {
		r.leave()
	}
	if err != nil && err != io.EOF {
		n = 0
	}
	return n, err
}

// judge says what comes of reading p: nil, io.EOF, or how the connection ended.
func (r *Reader) judge(p []byte, err error) error {
	switch {
	case r.err != nil:
		return r.err
	case r.over, r.limit > 0 && r.size > r.limit:
		return r.refuse(1009, fmt.Sprintf("message over the limit of %d bytes", r.limit))
	case !r.text.accepts(p), err == io.EOF && !r.text.whole():
		return r.refuse(1007, "text is not UTF-8")
	case err != nil && err != io.EOF:
		return r.refuse(1007, "message is not compressed as it says")
	}
	return err
}

// some reads some of the message, as it was before it was compressed.
func (r *Reader) some(p []byte) (int, error) {
	if r.zip == nil {
		return r.raw(p)
	}
	return r.zip.Read(p)
}

// leave leaves the message behind.
func (r *Reader) leave() {
	r.open = false
	if r.zip != nil {
		r.zip.free()
		r.zip = nil
	}
}

var errOver = errors.New("wire: message over the limit")

// raw reads some of the message's bytes, across its frames.
func (r *Reader) raw(p []byte) (n int, err error) {
	for r.left == 0 {
		if r.frame.fin() {
			return 0, io.EOF
		}
		if err := r.nextFrame(); err != nil {
			return 0, err
		}
	}
	if r.over {
		return 0, errOver
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	switch {
	case len(r.ahead.b) > 0:
		n = r.ahead.take(p)
	case len(p) >= direct:
		begin := time.Now()
		n, err = r.sock.receiveInto(p)
		r.ahead.pace.read(time.Since(begin))
	default:
		err = r.sock.receive(&r.ahead)
		n = r.ahead.take(p)
	}
	if err != nil {
		return 0, r.lost(err)
	}
	r.left -= int64(n)
	r.frame.unmask(p[:n])
	return n, nil
}

// nextFrame waits for a data frame, and answers the control frames before it.
func (r *Reader) nextFrame() error {
	for {
		if !r.sock.cfg.Client {
			r.ahead.pace.frame()
		}
		h, err := r.head()
		if err != nil {
			return r.lost(err)
		}
		if why := r.fault(h); why != "" {
			return r.refuse(1002, why)
		}
		if !h.control() {
			r.frame, r.left = h, h.size
			r.over = r.over || r.exceeds(h.size)
			return nil
		}
		if err := r.control(h); err != nil {
			return err
		}
	}
}

// exceeds reports whether a frame of n bytes makes the message too large, before
// any memory is spent on it. Compressed bytes have a limit of their own, so that
// a message of nothing but empty blocks ends too.
func (r *Reader) exceeds(n int64) bool {
	limit, before := int64(r.limit), int64(0)
	switch {
	case r.zip != nil:
		before, limit = r.zip.came, compressed(limit)
		r.zip.came += n
	case r.frame.first&rsv1 != 0:
		limit = compressed(limit)
	case r.open:
		before = int64(r.size)
	}
	return r.limit > 0 && n > limit-before
}

// compressed is how many bytes may come for a message of at most limit.
func compressed(limit int64) int64 { return 2*min(limit, math.MaxInt64/4) + 1024 }

// control takes a ping, a pong or a close frame.
func (r *Reader) control(h head) error {
	var room [maxControl]byte
	p := room[:h.size]
	if err := r.full(p); err != nil {
		return r.lost(err)
	}
	h.unmask(p)
	switch h.op() {
	case opPing:
		r.sock.pong(p)
	case opClose:
		return r.closed(p)
	}
	return nil
}

// closed answers the peer's close frame with its own code.
func (r *Reader) closed(p []byte) error {
	code, text, why := parseClose(p)
	switch {
	case why == badText:
		return r.refuse(1007, why)
	case why != "":
		return r.refuse(1002, why)
	}
	r.sock.Shut(code, "")
	return r.end(&CloseError{Code: code, Text: text})
}

// full reads as many bytes as p has.
func (r *Reader) full(p []byte) error {
	for len(p) > 0 {
		if len(r.ahead.b) == 0 {
			if err := r.sock.receive(&r.ahead); err != nil {
				return err
			}
		}
		p = p[r.ahead.take(p):]
	}
	return nil
}

// refuse ends the connection because of what came.
func (r *Reader) refuse(code int, why string) error {
	e := &CloseError{Code: code, Text: why, Local: true}
	if code == 1009 {
		e.Limit = r.limit
	}
	r.sock.Shut(code, why)
	return r.end(e)
}

// lost ends what the network has ended, or this side.
func (r *Reader) lost(err error) error {
	why := r.sock.cause()
	if why == nil {
		why = err
		r.sock.Close() // nobody is there to read a close frame
	}
	return r.end(why)
}

func (r *Reader) end(err error) error {
	r.err = r.sock.cfg.Explain("receive", err)
	if r.open && r.err == io.EOF {
		r.err = r.sock.cfg.Explain("receive", io.EOF) // no good end: the message has none
	}
	r.ahead.drop()
	r.ended()
	return r.err
}
