// Command hubs is the floor under every figure: a server with no protocol, that
// only delivers. What a publisher connection (?role=pub&ch=N) sends as a text
// frame goes to every subscriber connection (?role=sub&ch=N). A server with
// sessions, policies and JSON cannot be cheaper, so its cost is told beside the
// floor's, taken in the same minute.
//
//	hubs -lib raw -opt queue          # a write per delivery
//	hubs -lib raw -opt qarray         # a queue per session; all of it in one array, one frame, one write
//	hubs -lib coder -opt qarray       # the same through github.com/coder/websocket
//	hubs -lib raw -opt qarray -tls    # the same over TLS, with a certificate made on the spot
//	hubs -blast 64                    # no hub: events without end for a Bayeux client that subscribes
//	load -proto hub -url ws://127.0.0.1:9010/ -n 1000 -pid PID
//
// It prints "ready HOST:PORT" once it listens. What a peer that does not read
// does to others is not looked at: a hub has no bounds.
package main
