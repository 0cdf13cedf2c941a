//go:build !js

package wsserver

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/gocometd/cometd/internal/wire"
	"github.com/gocometd/cometd/transport"
)

// refused answers an upgrade that cannot be (RFC 6455 §4.2.1).
func refused(w http.ResponseWriter, r *http.Request, o *transport.Accept) bool {
	status, text := wrong(w, r)
	if status == 0 {
		return false
	}
	o.BoundAnswer(w)
	switch {
	case r.ContentLength != 0: // the body would be read as frames
		w.Header().Set("Connection", "close")
	case status == http.StatusUpgradeRequired: // §4.4
		w.Header().Set("Sec-WebSocket-Version", "13")
	}
	http.Error(w, text, status)
	return true
}

// wrong says what is wrong with an upgrade; 0: nothing is.
func wrong(w http.ResponseWriter, r *http.Request) (status int, text string) {
	switch keys, versions := r.Header["Sec-Websocket-Key"], r.Header["Sec-Websocket-Version"]; {
	case !r.ProtoAtLeast(1, 1):
		return http.StatusBadRequest, "an upgrade needs HTTP/1.1"
	case r.ContentLength != 0:
		return http.StatusBadRequest, "an upgrade has no body"
	case !canHijack(w): // asked before anything else is done
		return http.StatusNotImplemented, "no upgrade is possible here"
	case len(versions) != 1 || versions[0] != "13":
		return http.StatusUpgradeRequired, "Sec-WebSocket-Version must be 13, said once"
	case len(keys) != 1 || !wire.GoodKey(keys[0]):
		return http.StatusBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64"
	}
	return 0, ""
}

// upgrade says 101 on a connection that it has from net/http, with all that
// others have put into the header, and makes a Conn of it. It never waits.
func (a *acceptor) upgrade(nc net.Conn, brw *bufio.ReadWriter, header http.Header, r *http.Request, o *transport.Accept, peer *transport.Peer) *conn {
	early, _ := brw.Reader.Peek(brw.Reader.Buffered())
	early = slices.Clone(early)
	var deflate string
	if a.deflate > 0 {
		deflate = wire.AnswerDeflate(r.Header["Sec-Websocket-Extensions"])
	}
	sock := wire.NewSocket(nc, wire.Config{Stall: max(o.Stall, 0), Explain: explain})
	sock.Open(a.answer(brw.Writer.AvailableBuffer(), header, r.Header, deflate))
	bound(nc, a.sendBuffer)
	c := &conn{sock: sock, peer: peer}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(r.Context()))
	c.in = wire.NewReader(sock, early, o.Limit, c.cancel)
	if deflate != "" {
		sock.Deflate(a.deflate)
		c.in.Inflate(false)
	}
	if a.every > 0 {
		sock.Pulse(a.every, a.wait)
	}
	return c
}

// answer appends the 101 to dst.
func (a *acceptor) answer(dst []byte, ours, asked http.Header, deflate string) []byte {
	out := bytes.NewBuffer(dst)
	out.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	out.WriteString(wire.AcceptOf(asked["Sec-Websocket-Key"][0]))
	if name := a.subprotocol(asked["Sec-Websocket-Protocol"]); name != "" {
		out.WriteString("\r\nSec-WebSocket-Protocol: " + name)
	}
	if deflate != "" {
		out.WriteString("\r\nSec-WebSocket-Extensions: " + deflate)
	}
	out.WriteString("\r\n")
	ours.Write(out)
	out.WriteString("\r\n")
	return out.Bytes()
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
