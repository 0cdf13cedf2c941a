package server

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gocometd/cometd/transport"
)

// Router is what [Server.Mount] needs: http.ServeMux has it, and many others.
type Router interface {
	Handle(pattern string, h http.Handler)
}

// Mount registers the server at path and all below it: clients append the
// message type to the URL, and the server gives no meaning to what they
// append. With "/cometd/" alone ServeMux would answer "/cometd" with a
// redirect, which no WebSocket follows.
func (s *Server) Mount(r Router, path string) {
	path = "/" + strings.Trim(path, "/")
	if path != "/" {
		r.Handle(path, s)
		path += "/"
	}
	r.Handle(path, s)
}

// ServeHTTP serves one request with the first transport that it is for.
// Requests from pages of other origins get 403 unless [WithOrigins] names
// them, one that is for no transport gets 400, and one over a limit of
// connections gets 503 and is told which.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.origin.pass(w, r) {
		return
	}
	a := s.acceptorFor(r)
	if a == nil {
		http.Error(w, "cometd: no transport for "+r.Method+" here; use "+strings.Join(s.types(), ", "), http.StatusBadRequest)
		return
	}
	if s.isClosed() {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(s.spreadOut().Seconds()))))
		http.Error(w, "cometd: the server is shutting down", http.StatusServiceUnavailable)
		return
	}
	seat, broken, err := s.seats.take(r.RemoteAddr, &s.config)
	if err != nil {
		s.limited(broken)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "cometd: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer seat.leave()
	if l := int64(s.accept.Limit); l > 0 && r.ContentLength > l {
		s.limited(limitMessageBytes) // the transport refuses it unread
	}
	a.Serve(w, r, &s.accept, func(c transport.Conn) {
		seat.enter()
		defer seat.leave()
		s.ServeConn(c)
	})
}

func (s *Server) acceptorFor(r *http.Request) transport.Acceptor {
	for _, a := range s.acceptors {
		if a.Match(r) {
			return a
		}
	}
	return nil
}

func (s *Server) isClosed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// seats counts connections, in all and per address.
type seats struct {
	mu     sync.Mutex
	all    int
	byAddr map[string]int
}

// A seat is one connection's place. A socket outlives the request that opened
// it, so two may hold it, and the last one to leave frees it.
type seat struct {
	of      *seats
	addr    string
	holders int
}

func (t *seats) take(remote string, c *config) (_ *seat, broken string, _ error) {
	addr := hostOf(remote)
	counts := c.countLoopback || !isLoopback(addr)
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := c.limits.Conns; over(t.all+1, l) {
		return nil, limitConns, fmt.Errorf("too many connections: limit %d", l)
	}
	if l := c.limits.ConnsPerAddr; counts && over(t.byAddr[addr]+1, l) {
		return nil, limitConnsPerAddr, fmt.Errorf("too many connections from one address: limit %d", l)
	}
	x := &seat{of: t, addr: addr}
	x.add(1)
	return x, "", nil
}

// hostOf is an address without its port.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (x *seat) enter() {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	x.add(1)
}

func (x *seat) leave() {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	x.add(-1)
}

// add changes the number of holders; the first and the last one count.
func (x *seat) add(n int) {
	before := x.holders
	x.holders += n
	if (before == 0) == (x.holders == 0) {
		return
	}
	t := x.of
	if t.byAddr == nil {
		t.byAddr = map[string]int{}
	}
	t.all += n
	if t.byAddr[x.addr] += n; t.byAddr[x.addr] == 0 {
		delete(t.byAddr, x.addr)
	}
}
