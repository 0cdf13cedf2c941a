//go:build !js

package wsserver_test

import (
	"net"
	"testing"
	"unicode/utf8"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

// Whatever a client says after the upgrade, the server answers with frames that
// RFC 6455 allows, says a close code, if any, last, and ends.
func FuzzClientBytes(f *testing.F) {
	for _, c := range rfc6455 {
		if len(c.bytes) < 1000 {
			f.Add([]byte(c.bytes))
		}
	}
	f.Add([]byte(text("1") + "\x00\x01\x02"))
	h := newHost(f, wsserver.NewAcceptor(wsserver.WithCompression(50)), false, transport.Accept{Limit: 4096, Stall: patience}, echo)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		r := h.open(t, "Sec-WebSocket-Extensions: permessage-deflate")
		defer r.Close()
		go func() {
			r.Write(bytes)
			r.Conn.(*net.TCPConn).CloseWrite()
		}()
		closed := false
		for {
			s, err := Read(r.in)
			if err != nil {
				return
			}
			switch {
			case closed:
				t.Fatalf("%#x %q after the close frame", s.First, s.Payload)
			case s.Masked:
				t.Fatal("masked")
			case s.First&0x0f == 1 && s.First&0x40 == 0 && !utf8.ValidString(s.Payload):
				t.Fatalf("text is not UTF-8: %q", s.Payload)
			}
			closed = s.First&0x0f == 8
		}
	})
}
