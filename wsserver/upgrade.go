//go:build !js

package wsserver

import (
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
	case status == http.StatusUpgradeRequired: // §4.4, and RFC 9110 §15.5.22
		w.Header().Set("Sec-WebSocket-Version", "13")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
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

// An upgrade is what a Conn is made of. It has nothing that handlers around the
// server may use once Serve has returned.
type upgrade struct {
	nc                     net.Conn
	early                  []byte // what the peer has sent already
	key, protocol, deflate string
	header                 []byte // of the 101: what others have put there
	ctx                    context.Context
	accept                 *transport.Accept
	peer                   *transport.Peer
}

// upgrade is what is needed of a request.
func (a *acceptor) upgrade(r *http.Request, o *transport.Accept, peer *transport.Peer) *upgrade {
	u := &upgrade{
		key: r.Header["Sec-Websocket-Key"][0], protocol: a.subprotocol(r.Header["Sec-Websocket-Protocol"]),
		ctx: context.WithoutCancel(r.Context()), accept: o, peer: peer,
	}
	if a.deflate > 0 {
		u.deflate = wire.AnswerDeflate(r.Header["Sec-Websocket-Extensions"])
	}
	return u
}

// hijack takes the connection, or reports that there is none any more.
func (u *upgrade) hijack(w http.ResponseWriter) bool {
	u.header = lines(w.Header())
	nc, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	u.nc = nc
	early, _ := brw.Reader.Peek(brw.Reader.Buffered())
	u.early = slices.Clone(early)
	return true
}

// lines is h as it stands in an answer.
func lines(h http.Header) []byte {
	if len(h) == 0 {
		return nil
	}
	var out bytes.Buffer
	h.Write(&out)
	return out.Bytes()
}

// open says 101, and makes the Conn. It never waits.
func (a *acceptor) open(u *upgrade) *conn {
	sock := wire.NewSocket(u.nc, wire.Config{Stall: max(u.accept.Stall, 0), Explain: explain})
	sock.Open(u.answer())
	bound(u.nc, a.sendBuffer)
	c := &conn{sock: sock, peer: u.peer}
	c.ctx, c.cancel = context.WithCancel(u.ctx)
	c.in = wire.NewReader(sock, u.early, u.accept.Limit, c.cancel)
	if u.deflate != "" {
		sock.Deflate(a.deflate)
		c.in.Inflate(false)
	}
	if a.every > 0 {
		sock.Pulse(a.every, a.wait)
	}
	return c
}

// answer is the 101.
func (u *upgrade) answer() []byte {
	out := append(make([]byte, 0, 256), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	out = append(out, wire.AcceptOf(u.key)...)
	if u.protocol != "" {
		out = append(append(out, "\r\nSec-WebSocket-Protocol: "...), u.protocol...)
	}
	if u.deflate != "" {
		out = append(append(out, "\r\nSec-WebSocket-Extensions: "...), u.deflate...)
	}
	out = append(append(out, "\r\n"...), u.header...)
	return append(out, "\r\n"...)
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

// setCookie has the stack for a cookie, which Serve then has for a hijack.
func setCookie(w http.ResponseWriter, r *http.Request, o *transport.Accept, peer *transport.Peer) {
	http.SetCookie(w, o.BrowserCookie(r, peer))
}
