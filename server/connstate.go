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
// Up to an eighth more connections than the limit, but at least eight, are let
// in, so that there is one to answer a request with 503; others are closed at
// once. A proxy's address has the connections of all its clients, unless it is
// on the loopback: raise ConnsPerAddr there, or leave ConnState out.
func (s *Server) ConnState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		broken, fresh := s.seats.open(c, &s.config)
		if broken != "" {
			s.limited(broken, c.RemoteAddr().String(), nil)
			c.Close()
		}
		if fresh > mostFresh {
			s.bell.Wait()
		}
	case http.StateActive:
		s.seats.asks(c)
	case http.StateHijacked, http.StateClosed:
		s.seats.close(c)
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
func (t *seats) open(c net.Conn, conf *config) (broken string, fresh int) {
	addr := hostOf(c.RemoteAddr().String())
	t.mu.Lock()
	defer t.mu.Unlock()
	if broken, err := t.conns.full(addr, conf, withRoom); err != nil {
		return broken, t.fresh
	}
	if t.peers == nil {
		t.peers = map[net.Conn]*peer{}
	}
	t.peers[c] = &peer{addr, true}
	t.conns.add(addr, 1)
	t.fresh++
	return "", t.fresh
}

// asks notes that a connection has sent something.
func (t *seats) asks(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[c]; p != nil && p.fresh {
		t.fresh--
		p.fresh = false
	}
}

// close forgets a connection, if it was counted.
func (t *seats) close(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peers[c]; p != nil {
		delete(t.peers, c)
		t.conns.add(p.addr, -1)
		if p.fresh {
			t.fresh--
		}
	}
}

// closeFresh closes the connections that have asked nothing yet.
func (t *seats) closeFresh() {
	t.mu.Lock()
	all := make([]net.Conn, 0, t.fresh)
	for c, p := range t.peers {
		if p.fresh {
			all = append(all, c)
		}
	}
	t.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}
