//go:build !js

package wire

import (
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/coder/websocket"
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

// A Reader gives the text messages of a connection, one at a time. One
// goroutine uses it.
type Reader struct {
	ws    *websocket.Conn
	sock  *Socket
	limit int    // bytes of a message; 0: no bound
	ended func() // told once that no message will come any more

	message io.Reader // the library's; nil between messages
	size    int
	text    text
	err     error // how the connection ended
}

// NewReader reads from ws, which reads from s. A message over limit bytes is
// refused with 1009; zero or less means no bound. ended is called when the
// connection has ended for the reader.
func NewReader(ws *websocket.Conn, s *Socket, limit int, ended func()) Reader {
	ws.SetReadLimit(-1) // ours, because its close frame names the limit
	return Reader{ws: ws, sock: s, limit: max(limit, 0), ended: ended}
}

// Next skips what is left of a message and waits for another. The error, as
// Config.Explain puts it, is a *CloseError, ErrStalled, ErrSilent, net.ErrClosed
// after Shut or Close, or the network's own; it comes again at every further
// call.
func (r *Reader) Next() (io.Reader, error) {
	if r.message != nil {
		io.Copy(io.Discard, r)
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := r.sock.cause(); err != nil {
		return nil, r.end(err) // what is buffered still is of no use
	}
	kind, m, err := r.ws.Reader(context.Background())
	if err != nil {
		return nil, r.fail(err)
	}
	if kind != websocket.MessageText {
		return nil, r.refuse(1003, "only text messages are taken")
	}
	r.message, r.size, r.text = m, 0, text{}
	return r, nil
}

// Read reads the message that Next returned, until io.EOF.
func (r *Reader) Read(p []byte) (int, error) {
	if r.message == nil {
		if r.err != nil {
			return 0, r.err
		}
		return 0, io.EOF
	}
	n, err := r.message.Read(p)
	r.size += n
	switch {
	case r.limit > 0 && r.size > r.limit:
		return 0, r.refuse(1009, fmt.Sprintf("message over the limit of %d bytes", r.limit))
	case !r.text.accepts(p[:n]), err == io.EOF && !r.text.whole():
		return 0, r.refuse(1007, "text is not UTF-8")
	case err == io.EOF:
		r.message = nil
	case err != nil:
		return n, r.fail(err)
	}
	return n, err
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

// fail finds out what an error of the library means: the peer's close frame,
// the end of the network, our own end, or a violation of the protocol.
func (r *Reader) fail(err error) error {
	if e, ok := errors.AsType[websocket.CloseError](err); ok {
		return r.end(&CloseError{Code: int(e.Code), Text: e.Reason})
	}
	if _, ok := errors.AsType[flate.CorruptInputError](err); ok {
		return r.refuse(1007, "message is not compressed as it says")
	}
	if r.sock.readErr == nil && !r.sock.dead() {
		return r.refuse(1002, "not a WebSocket frame")
	}
	why := r.sock.cause()
	if why == nil {
		why = r.sock.readErr
		r.sock.Close() // nobody is there to read a close frame
	}
	return r.end(why)
}

func (r *Reader) end(err error) error {
	r.message, r.err = nil, r.sock.cfg.Explain("receive", err)
	r.ended()
	return r.err
}

// End ends the library's part. It frees what the library still holds.
func (r *Reader) End() { r.ws.CloseNow() }
