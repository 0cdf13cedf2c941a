package cometdtest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/transport"
)

// network is what lies between a server and its clients. The zero value works.
type network struct {
	mu     sync.Mutex
	conns  map[*conn]struct{}
	broken bool
	late   time.Duration
	change func(*bayeux.Message) *bayeux.Message
}

// serve hands c to the server, by way of this network.
func (n *network) serve(c transport.Conn, next func(transport.Conn)) {
	x := &conn{Conn: c, network: n}
	if !n.add(x) {
		c.Close(transport.GoingAway)
		return
	}
	defer n.remove(x)
	next(x)
}

func (n *network) add(x *conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken {
		return false
	}
	if n.conns == nil {
		n.conns = map[*conn]struct{}{}
	}
	n.conns[x] = struct{}{}
	return true
}

func (n *network) remove(x *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, x)
}

func (n *network) isDown() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.broken
}

func (n *network) cut() {
	n.mu.Lock()
	all := make([]*conn, 0, len(n.conns))
	for c := range n.conns {
		all = append(all, c)
	}
	n.mu.Unlock()
	for _, c := range all {
		c.Close(transport.Internal)
	}
}

func (n *network) down() {
	n.mu.Lock()
	n.broken = true
	n.mu.Unlock()
	n.cut()
}

func (n *network) up() {
	n.mu.Lock()
	n.broken = false
	n.mu.Unlock()
}

func (n *network) delay(d time.Duration) {
	n.mu.Lock()
	n.late = d
	n.mu.Unlock()
}

func (n *network) fault(f func(*bayeux.Message) *bayeux.Message) {
	n.mu.Lock()
	n.change = f
	n.mu.Unlock()
}

// conn is a server's Conn whose payloads the network delays and changes.
type conn struct {
	transport.Conn
	network *network
}

func (c *conn) Send(p *transport.Payload) error {
	n := c.network
	n.mu.Lock()
	late, change := n.late, n.change
	n.mu.Unlock()
	if late > 0 {
		select {
		case <-time.After(late):
		case <-c.Context().Done():
			return transport.ErrClosed
		}
	}
	if change != nil {
		p = changed(p, change)
	}
	return c.Conn.Send(p)
}

// changed is p after f has seen its messages. One that f's result cannot be
// encoded for stays away.
func changed(p *transport.Payload, f func(*bayeux.Message) *bayeux.Message) *transport.Payload {
	out := &transport.Payload{Kind: p.Kind}
	for _, text := range p.Messages {
		m := new(bayeux.Message)
		if json.Unmarshal(text, m) != nil {
			continue
		}
		if m = f(m); m == nil {
			continue
		}
		if text, err := codec.AppendMessage(nil, m); err == nil {
			out.Messages = append(out.Messages, text)
		}
	}
	return out
}

// acceptor is a transport over HTTP by way of the network.
type acceptor struct {
	transport.Acceptor
	network *network
}

func (a *acceptor) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	if a.network.isDown() {
		panic(http.ErrAbortHandler) // the client sees a broken connection
	}
	a.Acceptor.Serve(w, r, o, func(c transport.Conn) { a.network.serve(c, serve) })
}

// guarded is a transport in memory that cannot be dialed while the network is
// down.
type guarded struct {
	transport.Dialer
	network *network
}

var errDown = errors.New("cometdtest: the network is down")

func (g guarded) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	if g.network.isDown() {
		return nil, &transport.Error{Type: g.Type(), Op: "dial", Reason: transport.Internal, Err: errDown}
	}
	return g.Dialer.Dial(ctx, t)
}

// listed names a connection type in the handshake reply; its connections come
// by Server.ServeConn.
type listed struct{ name string }

func (l listed) Type() string             { return l.name }
func (listed) Match(r *http.Request) bool { return false }
func (listed) Serve(w http.ResponseWriter, _ *http.Request, _ *transport.Accept, _ func(transport.Conn)) {
	http.Error(w, "cometdtest: this server is in memory", http.StatusNotImplemented)
}
