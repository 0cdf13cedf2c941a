package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"
)

// net/http reads the headers, and is silent about those that it gives up. What
// [Server.ConnState] hears is when a connection is accepted, and when all or, at
// its end, a part of its first header is there. Limits.Header is the time
// between the two.

// expectHeader sees to it that a peer that asks nothing for too long is given
// up, now or after those who came before it. The caller holds mu of the
// connections.
func (srv *Server) expectHeader() {
	if l := srv.limits.Header; l >= 0 && !srv.conns.watched {
		srv.conns.watched = true
		time.AfterFunc(l, srv.giveUpHeaders)
	}
}

// giveUpHeaders has net/http read no further where a header is late, which then
// closes the connection and says so, and comes again for the next.
func (srv *Server) giveUpHeaders() {
	if !srv.enter() {
		return
	}
	defer srv.leave()
	late, next := srv.conns.late(srv.limits.Header)
	for _, p := range late {
		p.conn.SetReadDeadline(time.Now())
	}
	if next > 0 {
		time.AfterFunc(next, srv.giveUpHeaders)
	}
}

// isLate reports whether p was silent for longer than it may be.
func (srv *Server) isLate(p *httpConn) bool {
	return srv.limits.Header >= 0 && time.Since(p.since) >= srv.limits.Header
}

// refuseHeader answers a header that took too long, and closes its connection. The
// panic is net/http's way to end it at once: the rest of the header may have come
// in the last moment, and what was refused must not be served. Over HTTP/2 only the
// beginning of the connection was late, which is served or not.
func (srv *Server) refuseHeader(c net.Conn) {
	srv.limited(limitHeader, c.RemoteAddr().String(), nil)
	secure, ok := c.(*tls.Conn)
	if ok && secure.ConnectionState().NegotiatedProtocol == "h2" {
		c.Close()
		return
	}
	const status = http.StatusRequestTimeout
	c.SetWriteDeadline(time.Now().Add(time.Second)) // nothing has been written before, so there is room
	fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"+
		"cometd: the header took longer than %v\n", status, http.StatusText(status), srv.limits.Header)
	panic(http.ErrAbortHandler)
}

// handshakes reports whether c has come no further than TLS.
func handshakes(c net.Conn) bool {
	secure, ok := c.(*tls.Conn)
	return ok && !secure.ConnectionState().HandshakeComplete
}
