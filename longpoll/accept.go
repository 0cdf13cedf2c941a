package longpoll

import (
	"net/http"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// NewAcceptor is the server's end of long-polling. It takes every POST; other
// methods are the server's to answer. A wrong option does not show here: Serve
// answers every request with 500 and its text, and server.New refuses the
// Acceptor.
func NewAcceptor(opts ...AcceptOption) transport.Acceptor {
	c, err := newAcceptConfig(opts)
	return &acceptor{c, err}
}

func newAcceptConfig(opts []AcceptOption) (acceptConfig, error) {
	c := acceptConfig{gzipFrom: 16 << 10, parameter: "jsonp", nameLen: 64}
	c.replaced = transport.Replaced.Status()
	for _, opt := range opts {
		if opt == nil {
			continue
		}
		if err := opt(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}

type acceptor struct {
	config acceptConfig
	err    error // of the first wrong option
}

// Err is what is wrong with the options, or nil.
func (a *acceptor) Err() error { return a.err }

func (a *acceptor) Type() string { return bayeux.LongPolling }

func (a *acceptor) Match(r *http.Request) bool { return r.Method == http.MethodPost }

func (a *acceptor) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	if a.err != nil {
		o.BoundAnswer(w)
		http.Error(w, a.err.Error(), http.StatusInternalServerError)
		return
	}
	h := newHeld(w, r, o, &a.config, bayeux.LongPolling)
	if err := h.openBody(); err != nil {
		tellLimit(r, o, err)
		refuse(w, r, o, err)
		return
	}
	h.run(serve)
}

// tellLimit tells the server of a limit that a request broke before it became a
// Conn, which would tell it itself.
func tellLimit(r *http.Request, o *transport.Accept, e *transport.Error) {
	switch e.Reason {
	case transport.TooLarge:
		o.Broke(r, transport.LimitMessageBytes)
	case transport.Stalled:
		o.Broke(r, transport.LimitBody)
	}
}

// run lends h to serve. w and r die with it, so it ends only when nobody uses
// them any more.
func (h *held) run(serve func(transport.Conn)) {
	defer h.finish()
	serve(h)
}
