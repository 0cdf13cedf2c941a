//go:build !js

package wsserver

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/gocometd/cometd/internal/wire"
	"github.com/gocometd/cometd/transport"
)

// linger is how long a closed peer may take to read what it was sent.
const linger = time.Second

// An acceptor is the transport.Acceptor for WebSocket upgrades.
type acceptor struct {
	config
	err error
}

// NewAcceptor makes an Acceptor for server.WithTransports. A wrong option does
// not show here: Serve answers every upgrade with 500 and its text, and
// server.New refuses the Acceptor.
func NewAcceptor(opts ...Option) transport.Acceptor {
	c, err := newConfig(opts)
	return &acceptor{c, err}
}

// Err is what is wrong with the options, or nil.
func (a *acceptor) Err() error { return a.err }

func (a *acceptor) Type() string { return "websocket" }

// Match says whether r asks for an upgrade to WebSocket. If it asks wrongly,
// Serve says what is wrong.
func (a *acceptor) Match(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 &&
		hasToken(r.Header["Upgrade"], "websocket") && hasToken(r.Header["Connection"], "upgrade")
}

func hasToken(values []string, want string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), want) {
				return true
			}
		}
	}
	return false
}

// Serve upgrades r and runs serve on a goroutine of its own: net/http's has a
// stack and buffers that an idle socket need not keep.
func (a *acceptor) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	if a.err != nil {
		http.Error(w, a.err.Error(), http.StatusInternalServerError)
		return
	}
	if r.ContentLength != 0 { // which would be read as frames
		w.Header().Set("Connection", "close")
		http.Error(w, "an upgrade has no body", http.StatusBadRequest)
		return
	}
	if !canHijack(w) { // asked before the library says 101
		http.Error(w, "no upgrade is possible here", http.StatusNotImplemented)
		return
	}
	peer := a.peer(r, o)
	if peer.Fresh {
		http.SetCookie(w, o.BrowserCookie(r, peer))
	}
	up := &upgrade{ResponseWriter: w, stall: o.Stall, sendBuffer: a.sendBuffer}
	ws, err := websocket.Accept(up, r, &a.accept)
	if err != nil {
		return // answered
	}
	up.slim()
	if a.deflate > 0 && w.Header().Get("Sec-WebSocket-Extensions") != "" {
		up.sock.Deflate(a.deflate)
	}
	if a.every > 0 {
		up.sock.Pulse(a.every, a.wait)
	}
	c := &conn{sock: up.sock, peer: peer}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(r.Context()))
	c.in = wire.NewReader(ws, up.sock, o.Limit, c.cancel)
	go c.run(serve)
}

// peer is o's, without a hold on the rest of r's header: the values of a header
// lie in one block.
func (a *acceptor) peer(r *http.Request, o *transport.Accept) *transport.Peer {
	p := o.Peer(r)
	p.Type = a.Type()
	if len(p.Header) == 0 {
		p.Header = nil
	} else {
		p.Header = p.Header.Clone()
	}
	return p
}
