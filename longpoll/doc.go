// Package longpoll is the long-polling transport: a client asks, and the server
// keeps the request until it has something to say (docs/protocol.md §9).
//
// It is what works everywhere: through every proxy, in every browser. One HTTP
// exchange is one Conn, so a lost exchange loses nothing but itself.
//
//	c, err := client.New(url, client.WithTransports(longpoll.NewDialer()))
//	srv, err := server.New(server.WithTransports(longpoll.NewAcceptor()))
//
// cometd.Dial and cometd.NewServer have it already; use this package to set its
// options, or to do without WebSockets.
//
// # Server
//
// [NewAcceptor] takes every POST, at any path: the URL has no meaning. A body
// over the limit gets 413, an empty one 400, one that does not arrive in time
// 408, a charset nobody knows 415; each answer is one line of plain text that
// names what was wrong, and does not wait for what is left of the body. A client
// that stops reading its answer is let go after Accept.Stall without progress.
//
// net/http reads the header, so its own ReadHeaderTimeout bounds that; set it.
// Its ReadTimeout and WriteTimeout do not cut held requests: they are replaced
// by Accept.Body and Accept.Stall. Middleware that wraps the ResponseWriter
// must have an Unwrap method (http.ResponseController), otherwise none of these
// limits work and Close cannot free a stuck answer.
//
// Over HTTP/2 a peer may take nothing of its whole connection. Send gives up
// then as it does on HTTP/1, but the request's goroutine waits until net/http
// closes the connection: set WriteByteTimeout in the http.Server's HTTP2.
//
// [NewCallbackAcceptor] is callback-polling (JSONP), for browsers that can do
// nothing else. No server has it unless it is given.
//
// # Client
//
// [NewDialer] uses the http.Client of the Target, so cookies, proxy and TLS are
// its business. Answers other than 200 are a *transport.Error with the status;
// redirects are not followed, because a POST would become a GET. In a browser
// (GOOS=js) they are, by fetch.
package longpoll
