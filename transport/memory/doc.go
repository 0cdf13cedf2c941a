// Package memory is the transport within one process: no socket, no timer, only
// mutexes and conditions, so it works inside testing/synctest.
//
// Tests of clients and servers use it in place of the two network transports,
// under their names: [NewDialer] is a stream like a WebSocket, [NewPollDialer]
// is one exchange per Conn like long-polling. A program that is a client of its
// own server uses [NewLocalDialer]; cometd.Local does.
//
//	srv, _ := server.New()
//	c, _ := client.New("http://test/cometd",
//		client.WithTransports(memory.NewDialer(srv.ServeConn)))
//
// Cookies work as over HTTP: the BAYEUX_BROWSER value is kept in the jar of
// Target.HTTP if there is one and the URL is http or https, otherwise in the
// dialer, which then stands for one browser.
package memory
