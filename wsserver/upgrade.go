//go:build !js

package wsserver

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gocometd/cometd/internal/wire"
)

// refused answers an upgrade that cannot be (RFC 6455 §4.2.1).
func refused(w http.ResponseWriter, r *http.Request) bool {
	switch keys, versions := r.Header["Sec-Websocket-Key"], r.Header["Sec-Websocket-Version"]; {
	case !r.ProtoAtLeast(1, 1):
		http.Error(w, "an upgrade needs HTTP/1.1", http.StatusBadRequest)
	case r.ContentLength != 0: // which would be read as frames
		w.Header().Set("Connection", "close")
		http.Error(w, "an upgrade has no body", http.StatusBadRequest)
	case !canHijack(w): // asked before anything else is done
		http.Error(w, "no upgrade is possible here", http.StatusNotImplemented)
	case len(versions) != 1 || versions[0] != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		http.Error(w, "Sec-WebSocket-Version must be 13, said once", http.StatusBadRequest)
	case len(keys) != 1 || !wire.GoodKey(keys[0]):
		http.Error(w, "Sec-WebSocket-Key must be 16 bytes in base64", http.StatusBadRequest)
	default:
		return false
	}
	return true
}

// switchTo takes the connection from net/http and says 101, with all that others
// have put into the header. It also gives what the peer has sent already. That
// the peer is gone is found by who reads.
func (a *acceptor) switchTo(w http.ResponseWriter, r *http.Request, stall time.Duration, deflate bool) (*wire.Socket, []byte, error) {
	nc, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	out := brw.Writer
	out.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	out.WriteString(wire.AcceptOf(r.Header["Sec-Websocket-Key"][0]))
	if name := a.subprotocol(r.Header["Sec-Websocket-Protocol"]); name != "" {
		out.WriteString("\r\nSec-WebSocket-Protocol: " + name)
	}
	if deflate {
		out.WriteString("\r\nSec-WebSocket-Extensions: " + wire.Deflate)
	}
	out.WriteString("\r\n")
	w.Header().Write(out)
	out.WriteString("\r\n")
	out.Flush()
	bound(nc, a.sendBuffer)
	early, _ := brw.Reader.Peek(brw.Reader.Buffered())
	return wire.NewSocket(nc, wire.Config{Stall: max(stall, 0), Explain: explain}), slices.Clone(early), nil
}

// subprotocol is the first of ours that the client offers.
func (a *acceptor) subprotocol(offers []string) string {
	for _, ours := range a.subprotocols {
		for _, v := range offers {
			for name := range strings.SplitSeq(v, ",") {
				if strings.TrimSpace(name) == ours {
					return ours
				}
			}
		}
	}
	return ""
}

// canHijack looks through middlewares as http.ResponseController does.
func canHijack(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// bound sets the kernel's send buffer under nc.
func bound(nc net.Conn, n int) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	if c, ok := nc.(interface{ SetWriteBuffer(int) error }); ok && n > 0 {
		_ = c.SetWriteBuffer(n) // else it has the size that it has
	}
}
