package server

import (
	"container/list"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/gocometd/cometd/internal/lock"
)

// A connTable counts requests and sockets, in all and per address, and beside them
// the connections of [Server.ConnState].
type connTable struct {
	mu     lock.Mutex[lock.Conns]
	slots  perAddr                // requests and sockets
	open   perAddr                // connections: those of net/http, and sockets
	http   map[net.Conn]*httpConn // those of net/http
	silent list.List              // those of them that have asked nothing yet, the oldest first

	watched bool // there will be a look at the time of the silent ones
}

// A connSlot is one request's place. A socket outlives the request that opened it,
// so others may hold it too, and the last one to release it frees it.
type connSlot struct {
	of      *connTable
	addr    string
	holders int
	socket  bool // it counts as a connection, for net/http does not know it any more
}

// An httpConn is a connection of net/http.
type httpConn struct {
	conn   net.Conn
	addr   string
	since  time.Time
	silent *list.Element // nil once it has asked something
}

// A perAddr is a number in all and for each address.
type perAddr struct {
	all    int
	byAddr map[string]int
}

func (t *perAddr) add(addr string, n int) {
	if t.byAddr == nil {
		t.byAddr = map[string]int{}
	}
	t.all += n
	if t.byAddr[addr] += n; t.byAddr[addr] == 0 {
		delete(t.byAddr, addr)
	}
}

// take gives a request a slot, or says which limit that would break.
func (t *connTable) take(remote string, c *config) (_ *connSlot, broken string, _ error) {
	addr := hostOf(remote)
	t.mu.Lock()
	defer t.mu.Unlock()
	if broken, err := t.slots.full(addr, c, exactly); err != nil {
		return nil, broken, err
	}
	x := &connSlot{of: t, addr: addr}
	x.add(1)
	return x, "", nil
}

// full says which limit one more from addr would break, where a limit is what
// bound makes of it.
func (t *perAddr) full(addr string, c *config, bound func(int) int) (broken string, _ error) {
	if l := c.limits.Conns; exceeds(t.all+1, bound(l)) {
		return limitConns, fmt.Errorf("too many connections: limit %d", l)
	}
	counts := c.countLoopback || !isLocal(addr)
	if l := c.limits.ConnsPerAddr; counts && exceeds(t.byAddr[addr]+1, bound(l)) {
		return limitConnsPerAddr, fmt.Errorf("too many connections from one address: limit %d", l)
	}
	return "", nil
}

func exactly(limit int) int { return limit }

// withRoom is how many connections there may be for a limit.
func withRoom(limit int) int {
	if limit < 0 {
		return limit
	}
	return limit + max(8, limit/8)
}

// countConn counts a connection, or says which limit it breaks, and how many have
// asked nothing yet.
func (srv *Server) countConn(c net.Conn) (broken string, silent int) {
	t := &srv.conns
	addr := hostOf(c.RemoteAddr().String())
	t.mu.Lock()
	defer t.mu.Unlock()
	if broken, err := t.open.full(addr, &srv.config, withRoom); err != nil {
		return broken, t.silent.Len()
	}
	if t.http == nil {
		t.http = map[net.Conn]*httpConn{}
	}
	p := &httpConn{conn: c, addr: addr, since: time.Now()}
	p.silent = t.silent.PushBack(p)
	t.http[c] = p
	t.open.add(addr, 1)
	srv.expectHeader()
	return "", t.silent.Len()
}

// asks notes that a connection has sent something, and returns it the
// first time.
func (t *connTable) asks(c net.Conn) *httpConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.http[c]; p != nil && t.spoke(p) {
		return p
	}
	return nil
}

// close forgets a connection, if it was counted, and returns it if it has
// asked nothing.
func (t *connTable) close(c net.Conn) *httpConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.http[c]
	if p == nil {
		return nil
	}
	delete(t.http, c)
	t.open.add(p.addr, -1)
	if t.spoke(p) {
		return p
	}
	return nil
}

// spoke notes that p has asked something, and reports whether that is the first. The caller holds mu.
func (t *connTable) spoke(p *httpConn) bool {
	if p.silent == nil {
		return false
	}
	t.silent.Remove(p.silent)
	p.silent = nil
	return true
}

// closeSilent closes the connections that have asked nothing yet.
func (t *connTable) closeSilent() {
	t.mu.Lock()
	all := make([]net.Conn, 0, t.silent.Len())
	for e := t.silent.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*httpConn).conn)
	}
	t.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// late returns the connections that have been silent for so long, and in what time to look
// again, or 0: net/http may have set a deadline of its own in the same moment.
func (t *connTable) late(limit time.Duration) (all []*httpConn, next time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.silent.Front(); e != nil; e = e.Next() {
		p := e.Value.(*httpConn)
		if next = limit - time.Since(p.since); next > 0 {
			return all, next
		}
		all = append(all, p)
	}
	if t.watched = len(all) > 0; t.watched {
		next = max(limit, time.Millisecond)
	}
	return all, next
}

func (x *connSlot) hold(socket bool) {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	x.add(1)
	if socket && !x.socket {
		x.socket = true
		x.of.open.add(x.addr, 1)
	}
}

func (x *connSlot) release() {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	x.add(-1)
	if x.socket && x.holders == 0 {
		x.of.open.add(x.addr, -1)
	}
}

// add changes the number of holders; the first and the last one count.
func (x *connSlot) add(n int) {
	before := x.holders
	x.holders += n
	if (before == 0) != (x.holders == 0) {
		x.of.slots.add(x.addr, n)
	}
}

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
