package cometdtest

import (
	"net/http"

	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

// front opens connections over HTTP for a server that is not package server's.
type front struct{ serve func(transport.Conn) }

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, a := range []transport.Acceptor{wsserver.NewAcceptor(), longpoll.NewAcceptor()} {
		if a.Match(r) {
			a.Serve(w, r, &transport.Accept{}, f.serve)
			return
		}
	}
	http.Error(w, "cometdtest: no transport for this", http.StatusBadRequest)
}
