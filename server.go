//go:build !js

package cometd

import (
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/gocometd/cometd/wsserver"
)

// NewServer makes a server that speaks WebSocket and long-polling. It is an
// http.Handler; [server.Server.Mount] puts it into a router. Options are those
// of package server; [server.WithTransports] replaces the two transports.
func NewServer(opts ...server.Option) (*server.Server, error) {
	std := server.WithTransports(wsserver.NewAcceptor(), longpoll.NewAcceptor())
	return server.New(append([]server.Option{std}, opts...)...)
}

// Local makes a client of a server in the same process, without a socket
// between them, whatever transports the server has. It is a session like any
// other, to policies too; [server.Session.Transport] is "in-process". Like
// [New] it does not wait: the client's calls do, or [client.Client.Wait].
// Close it before the server.
func Local(srv *server.Server, opts ...client.Option) (*client.Client, error) {
	std := client.WithTransports(memory.NewLocalDialer(srv.ServeConn))
	return client.New("http://local/", append([]client.Option{std}, opts...)...)
}
