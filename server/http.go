package server

import (
	"net/http"
	"strings"
	"time"

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
func (srv *Server) Mount(r Router, path string) {
	path = "/" + strings.Trim(path, "/")
	if path != "/" {
		r.Handle(path, srv)
		path += "/"
	}
	r.Handle(path, srv)
}

// ServeHTTP serves one request with the first transport that it is for.
// Requests from pages of other origins get 403 unless [WithOrigins] names
// them, one that is for no transport gets 400, and one over a limit of
// connections gets 503 and is told which. A server that was closed, or has come to
// the end of [Server.Shutdown], answers 503 too.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	row := srv.askers.enter(r)
	defer srv.askers.leave(r, row)
	srv.boundBody(w, r)
	if !srv.allowOrigin(w, r) {
		return
	}
	a, slot := srv.letIn(w, r)
	if a == nil {
		return
	}
	defer slot.release()
	accept := srv.accept
	accept.Go = func(f func()) bool { return srv.runIn(slot, f) }
	a.Serve(w, r, &accept, func(c transport.Conn) {
		slot.hold(!c.Peer().Once)
		defer slot.release()
		srv.ServeConn(c)
	})
}

// letIn returns who takes a request, and its slot, or refuses it and returns nil.
func (srv *Server) letIn(w http.ResponseWriter, r *http.Request) (transport.Acceptor, *connSlot) {
	a := srv.acceptorFor(r)
	if a == nil {
		srv.refuse(w, r, http.StatusBadRequest, "no transport for "+r.Method+" here; use "+strings.Join(srv.types(), ", "))
		return nil, nil
	}
	if srv.isClosed() {
		w.Header().Set("Connection", "close") // another one may lead to the next server
		srv.refuse(w, r, http.StatusServiceUnavailable, "the server is shutting down")
		return nil, nil
	}
	slot, broken, err := srv.conns.take(r.RemoteAddr, &srv.config)
	if err != nil {
		srv.limited(broken, r.RemoteAddr, nil)
		w.Header().Set("Retry-After", "1")
		srv.refuse(w, r, http.StatusServiceUnavailable, err.Error())
		return nil, nil
	}
	return a, slot
}

// runIn is run for what outlives its request, such as a socket: the request
// hands its slot over, so that nobody takes it meanwhile.
func (srv *Server) runIn(x *connSlot, f func()) bool {
	x.hold(true)
	ok := srv.run(func() {
		defer x.release()
		f()
	})
	if !ok {
		x.release()
	}
	return ok
}

// boundBody bounds the time of a body, which net/http skips, without any limit
// of its own, where an answer leaves it unread. A transport that reads it sets
// its own limit and takes it away after the body; a hijack takes it away too.
func (srv *Server) boundBody(w http.ResponseWriter, r *http.Request) {
	if d := srv.limits.Body; d > 0 && r.ContentLength != 0 {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(d))
	}
}

// refuse answers a request whose body was not read.
func (srv *Server) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	srv.accept.BoundAnswer(w)
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

func (srv *Server) acceptorFor(r *http.Request) transport.Acceptor {
	for _, a := range srv.acceptors {
		if a.Match(r) {
			return a
		}
	}
	return nil
}

func (srv *Server) isClosed() bool {
	select {
	case <-srv.closing:
		return true
	default:
		return false
	}
}
