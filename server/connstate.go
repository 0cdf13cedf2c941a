package server

import (
	"net"
	"net/http"

	"github.com/gocometd/cometd/internal/lull"
)

// ConnState is for the field of this name in an http.Server, and makes
// Limits.Conns and Limits.ConnsPerAddr hold for connections too: those that
// have asked nothing yet, or nothing more. Without it only sockets and
// requests count.
//
//	web := &http.Server{Handler: mux, ConnState: srv.ConnState}
//
// Up to an eighth more connections than the limit, but at least eight, are let
// in, so that there is one to answer a request with 503; others are closed at
// once. A proxy's address has the connections of all its clients, unless it is
// on the loopback: raise ConnsPerAddr there, or leave ConnState out.
func (s *Server) ConnState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.accepts.Add(1)%acceptTurn == 0 {
			lull.Shared.Wait()
		}
		if broken := s.seats.open(c, &s.config); broken != "" {
			s.limited(broken, c.RemoteAddr().String(), nil)
			c.Close()
		}
	case http.StateHijacked, http.StateClosed:
		s.seats.close(c)
	}
}

// acceptTurn is after how many connections those who have been accepted are
// served first, and whoever has asked something meanwhile. net/http accepts on
// the goroutine that calls ConnState.
const acceptTurn = 4

// withRoom is how many connections there may be for a limit.
func withRoom(limit int) int {
	if limit < 0 {
		return limit
	}
	return limit + max(8, limit/8)
}

// open counts a connection, or says which limit it breaks.
func (t *seats) open(c net.Conn, conf *config) (broken string) {
	addr := hostOf(c.RemoteAddr().String())
	t.mu.Lock()
	defer t.mu.Unlock()
	if broken, err := t.conns.full(addr, conf, withRoom); err != nil {
		return broken
	}
	if t.peers == nil {
		t.peers = map[net.Conn]string{}
	}
	t.peers[c] = addr
	t.conns.add(addr, 1)
	return ""
}

// close forgets a connection, if it was counted.
func (t *seats) close(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if addr, ok := t.peers[c]; ok {
		delete(t.peers, c)
		t.conns.add(addr, -1)
	}
}
