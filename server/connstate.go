package server

import (
	"net"
	"net/http"
)

// ConnState is for the field of this name in an http.Server, and makes
// Limits.Conns and Limits.ConnsPerAddr hold for connections too: those that
// have asked nothing yet, or nothing more. Without it only sockets and
// requests count.
//
//	web := &http.Server{Handler: mux, ConnState: srv.ConnState}
//
// With it, too, [Server.Close] and [Server.Shutdown] close the connections that
// have asked nothing yet, such as those that browsers keep in store:
// http.Server.Shutdown would wait five seconds for them.
//
// And Limits.Header holds: who has sent a part of a header in that time, or has not
// come through the handshake of TLS, is counted, and answered 408 where that is
// possible; who has sent nothing else is closed. ConnState then panics with
// http.ErrAbortHandler, as a handler may, to end the connection: a hook of your own
// should call it last.
//
// Up to an eighth more connections than the limit, but at least eight, are let
// in, so that there is one to answer a request with 503; others are closed at
// once. A proxy's address has the connections of all its clients, unless it is
// on the loopback or a Unix domain socket: raise ConnsPerAddr there, or leave
// ConnState out.
func (srv *Server) ConnState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		srv.opened(c)
	case http.StateActive:
		if p := srv.conns.asks(c); p != nil {
			srv.asked(c, p)
		}
	case http.StateHijacked, http.StateClosed:
		if p := srv.conns.close(c); p != nil {
			srv.leftSilent(c, p)
		}
	}
}

// opened counts a connection, or closes it. It and what follows are functions of their
// own for the sake of the stack under a hijack, on which they would have their places
// too: it would have to grow, which is a twentieth of all that a session costs.
func (srv *Server) opened(c net.Conn) {
	broken, silent := srv.countConn(c)
	if broken != "" {
		srv.limited(broken, c.RemoteAddr().String(), nil)
		c.Close()
	}
	if silent > mostSilent {
		srv.bell.Wait()
	}
}

// asked sees to a connection whose first header is there.
func (srv *Server) asked(c net.Conn, p *httpConn) {
	if srv.isLate(p) {
		srv.refuseHeader(c)
	}
}

// leftSilent sees to a connection that has gone and asked nothing.
func (srv *Server) leftSilent(c net.Conn, p *httpConn) {
	if srv.isLate(p) && handshakes(c) {
		srv.limited(limitHeader, c.RemoteAddr().String(), nil)
	}
}

// mostSilent is how many connections may be open that have asked nothing yet,
// before whatever can be served goes before another. net/http accepts on the
// goroutine that calls ConnState, and would accept a hundred in a row.
const mostSilent = 6
