package server

import (
	"net"
	"net/http"
	"time"
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
// on the loopback or a Unix domain socket: raise ConnsPerAddr there, or leave ConnState out.
func (s *Server) ConnState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		broken, fresh := s.open(c)
		if broken != "" {
			s.limited(broken, c.RemoteAddr().String(), nil)
			c.Close()
		}
		if fresh > mostFresh {
			s.bell.Wait()
		}
	case http.StateActive:
		if p := s.seats.asks(c); p != nil && s.isLate(p) {
			s.refuseHeader(c)
		}
	case http.StateHijacked, http.StateClosed:
		if p := s.seats.close(c); p != nil && s.isLate(p) && handshakes(c) {
			s.limited(limitHeader, c.RemoteAddr().String(), nil)
		}
	}
}

// mostFresh is how many connections may be open that have asked nothing yet,
// before whatever can be served goes before another. net/http accepts on the
// goroutine that calls ConnState, and would accept a hundred in a row.
const mostFresh = 6

// withRoom is how many connections there may be for a limit.
func withRoom(limit int) int {
	if limit < 0 {
		return limit
	}
	return limit + max(8, limit/8)
}

// open counts a connection, or says which limit it breaks, and how many have
// asked nothing yet.
func (s *Server) open(c net.Conn) (broken string, fresh int) {
	t := &s.seats
	addr := hostOf(c.RemoteAddr().String())
	t.mu.Lock()
	defer t.mu.Unlock()
	if broken, err := t.conns.full(addr, &s.config, withRoom); err != nil {
		return broken, t.fresh.Len()
	}
	if t.peers == nil {
		t.peers = map[net.Conn]*peer{}
	}
	p := &peer{conn: c, addr: addr, since: time.Now()}
	p.fresh = t.fresh.PushBack(p)
	t.peers[c] = p
	t.conns.add(addr, 1)
	s.expectHeader()
	return "", t.fresh.Len()
}

// asks notes that a connection has sent something, and returns its peer the
// first time.
func (t *seats) asks(c net.Conn) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[c]; p != nil && t.notFresh(p) {
		return p
	}
	return nil
}

// close forgets a connection, if it was counted, and returns its peer if that
// has asked nothing.
func (t *seats) close(c net.Conn) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[c]
	if p == nil {
		return nil
	}
	delete(t.peers, c)
	t.conns.add(p.addr, -1)
	if t.notFresh(p) {
		return p
	}
	return nil
}

// notFresh reports whether p was fresh until now. The caller holds mu.
func (t *seats) notFresh(p *peer) bool {
	if p.fresh == nil {
		return false
	}
	t.fresh.Remove(p.fresh)
	p.fresh = nil
	return true
}

// closeFresh closes the connections that have asked nothing yet.
func (t *seats) closeFresh() {
	t.mu.Lock()
	all := make([]net.Conn, 0, t.fresh.Len())
	for e := t.fresh.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*peer).conn)
	}
	t.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}
