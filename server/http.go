package server

import (
	"container/list"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/gocometd/cometd/internal/lock"
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
// connections gets 503 and is told which. A server that was closed, or has come to
// the end of [Server.Shutdown], answers 503 too.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	row := s.askers.enter(r.RemoteAddr)
	defer s.askers.leave(r.RemoteAddr, row)
	s.boundBody(w, r)
	if !s.admit(w, r) {
		return
	}
	a := s.acceptorFor(r)
	if a == nil {
		s.refuse(w, r, http.StatusBadRequest, "no transport for "+r.Method+" here; use "+strings.Join(s.types(), ", "))
		return
	}
	if s.isClosed() {
		w.Header().Set("Connection", "close") // another one may lead to the next server
		s.refuse(w, r, http.StatusServiceUnavailable, "the server is shutting down")
		return
	}
	seat, broken, err := s.seats.take(r.RemoteAddr, &s.config)
	if err != nil {
		s.limited(broken, r.RemoteAddr, nil)
		w.Header().Set("Retry-After", "1")
		s.refuse(w, r, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer seat.leave()
	accept := s.accept
	accept.Go = func(f func()) bool { return s.runIn(seat, f) }
	a.Serve(w, r, &accept, func(c transport.Conn) {
		seat.enter(!c.Peer().Once)
		defer seat.leave()
		s.ServeConn(c)
	})
}

// runIn is run for what outlives its request, such as a socket: the request
// hands its seat over, so that nobody takes it meanwhile.
func (s *Server) runIn(x *seat, f func()) bool {
	x.enter(true)
	ok := s.run(func() {
		defer x.leave()
		f()
	})
	if !ok {
		x.leave()
	}
	return ok
}

// boundBody bounds the time of a body, which net/http skips, without any limit
// of its own, where an answer leaves it unread. A transport that reads it sets
// its own limit and takes it away after the body; a hijack takes it away too.
func (s *Server) boundBody(w http.ResponseWriter, r *http.Request) {
	if d := s.limits.Body; d > 0 && r.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(d))
	}
}

// refuse answers a request whose body was not read.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	s.accept.BoundAnswer(w)
	leaveBody(w, r)
	http.Error(w, "cometd: "+text, status)
}

// leaveBody lets the answer leave before the body is there: net/http would wait
// for the body, to use the connection again.
func leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
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

// seats counts requests and sockets, in all and per address, and beside them
// the connections of [Server.ConnState].
type seats struct {
	mu    lock.Mutex[lock.Seats]
	taken tally
	conns tally              // open connections: those of net/http, and sockets
	peers map[net.Conn]*peer // those of net/http
	fresh list.List          // those of them that have asked nothing yet, the oldest first

	watched bool // there will be a look at the time of the fresh
}

// A peer is a connection of net/http.
type peer struct {
	conn  net.Conn
	addr  string
	since time.Time
	fresh *list.Element // nil once it has asked something
}

// A tally is a number in all and for each address.
type tally struct {
	all    int
	byAddr map[string]int
}

func (t *tally) add(addr string, n int) {
	if t.byAddr == nil {
		t.byAddr = map[string]int{}
	}
	t.all += n
	if t.byAddr[addr] += n; t.byAddr[addr] == 0 {
		delete(t.byAddr, addr)
	}
}

// A seat is one request's place. A socket outlives the request that opened it,
// so others may hold it too, and the last one to leave frees it.
type seat struct {
	of      *seats
	addr    string
	holders int
	socket  bool // it counts as a connection, for net/http does not know it any more
}

func (t *seats) take(remote string, c *config) (_ *seat, broken string, _ error) {
	addr := hostOf(remote)
	t.mu.Lock()
	defer t.mu.Unlock()
	if broken, err := t.taken.full(addr, c, exactly); err != nil {
		return nil, broken, err
	}
	x := &seat{of: t, addr: addr}
	x.add(1)
	return x, "", nil
}

// full says which limit one more from addr would break, where a limit is what
// bound makes of it.
func (t *tally) full(addr string, c *config, bound func(int) int) (broken string, _ error) {
	if l := c.limits.Conns; over(t.all+1, bound(l)) {
		return limitConns, fmt.Errorf("too many connections: limit %d", l)
	}
	counts := c.countLoopback || !isLocal(addr)
	if l := c.limits.ConnsPerAddr; counts && over(t.byAddr[addr]+1, bound(l)) {
		return limitConnsPerAddr, fmt.Errorf("too many connections from one address: limit %d", l)
	}
	return "", nil
}

func exactly(limit int) int { return limit }

// hostOf is what an address counts as: without its port, and one of IPv6 with
// its /64, of which a single customer has all 2^64 addresses.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = strings.Trim(remote, "[]")
	}
	if !strings.Contains(host, ":") {
		return host
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// isLocal reports whether host is of this machine: the loopback, or the far end of a
// socket of Unix, which is a path, or @ and perhaps a name, or nothing.
func isLocal(host string) bool {
	if host == "" || host[0] == '@' || host[0] == '/' {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (x *seat) enter(socket bool) {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	x.add(1)
	if socket && !x.socket {
		x.socket = true
		x.of.conns.add(x.addr, 1)
	}
}

func (x *seat) leave() {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	x.add(-1)
	if x.socket && x.holders == 0 {
		x.of.conns.add(x.addr, -1)
	}
}

// add changes the number of holders; the first and the last one count.
func (x *seat) add(n int) {
	before := x.holders
	x.holders += n
	if (before == 0) != (x.holders == 0) {
		x.of.taken.add(x.addr, n)
	}
}
