//go:build !js

package wsserver

import (
	"net/http"
	"time"

	"github.com/gocometd/cometd/bayeux"
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

func (a *acceptor) Type() string { return bayeux.WebSocket }

// Match says whether r asks for an upgrade to WebSocket. If it asks wrongly,
// Serve says what is wrong.
func (a *acceptor) Match(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 &&
		wire.HasToken(r.Header["Upgrade"], "websocket") && wire.HasToken(r.Header["Connection"], "upgrade")
}

// Serve upgrades r and runs serve on a goroutine of its own: net/http's has a
// stack and buffers that an idle socket need not keep.
func (a *acceptor) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	if a.err != nil {
		o.BoundAnswer(w)
		http.Error(w, a.err.Error(), http.StatusInternalServerError)
		return
	}
	if refused(w, r, o) {
		return
	}
	peer := o.Peer(r)
	peer.Type = a.Type()
	if peer.Fresh {
		setCookie(w, r, o, peer)
	}
	u := a.upgrade(r, o, peer)
	if !u.hijack(w) {
		return // the connection is gone
	}
	run := func() { a.open(u).run(serve) }
	if o.Go == nil {
		go run()
	} else if !o.Go(run) {
		a.open(u).turnAway()
	}
}
