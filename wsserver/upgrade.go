//go:build !js

package wsserver

import (
	"bufio"
	"net"
	"net/http"
	"time"

	"github.com/gocometd/cometd/internal/wire"
)

// writeSize holds any control frame whole: the library writes nothing else.
const writeSize = 144

// An upgrade is the ResponseWriter that the library hijacks: it hands over our
// Socket in place of the connection, with buffers an idle socket can afford.
type upgrade struct {
	http.ResponseWriter
	stall      time.Duration
	sendBuffer int
	cookie     *http.Cookie // nil: the peer has one. It goes with the 101 only

	sock *wire.Socket
	in   *bufio.Reader
}

// WriteHeader leaves the 101 to Hijack: net/http would copy the header, and keep
// more than it needs to.
func (u *upgrade) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols {
		u.ResponseWriter.WriteHeader(status)
	}
}

// Hijack takes the connection from net/http and says 101, with all that the
// library and others have put into the header. That the peer is gone already is
// found by who reads.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if u.cookie != nil {
		http.SetCookie(u.ResponseWriter, u.cookie)
	}
	brw.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	u.Header().Write(brw)
	brw.WriteString("\r\n")
	brw.Flush()
	bound(nc, u.sendBuffer)
	early, _ := brw.Reader.Peek(brw.Reader.Buffered())
	u.sock = wire.NewSocket(nc, early, wire.Config{Stall: max(u.stall, 0), Explain: explain})
	u.in = bufio.NewReaderSize(u.sock, wire.ReadSize)
	return u.sock, bufio.NewReadWriter(u.in, bufio.NewWriterSize(u.sock, writeSize)), nil
}

// canHijack looks through middlewares as http.ResponseController does.
func canHijack(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// slim takes out what the library put between its reader and the Socket for
// bytes that came early: the Socket has those.
func (u *upgrade) slim() { u.in.Reset(u.sock) }

// bound sets the kernel's send buffer under nc.
func bound(nc net.Conn, n int) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	if c, ok := nc.(interface{ SetWriteBuffer(int) error }); ok && n > 0 {
		c.SetWriteBuffer(n)
	}
}
