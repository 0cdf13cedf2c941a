//go:build !js

package wsserver_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/fuzzing"
	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

// Whatever a client says after the upgrade, and then says that it will say no
// more, the server answers with frames that RFC 6455 allows, says a close code, if
// any, last, and ends.
func FuzzClientBytes(f *testing.F) {
	for _, c := range rfc6455 {
		if len(c.bytes) < 1000 {
			f.Add([]byte(c.bytes))
		}
	}
	f.Add([]byte(text("1") + "\x00\x01\x02"))
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00" // RFC 7692 §7.2.3.1
	f.Add([]byte(Masked(RSV1|Text, hello[:3]) + ping("p") + last(hello[3:]) + text(xs(200)) + bye))
	f.Add([]byte(Masked(Fin|RSV1|Text, Deflate(xs(100_000))) + bye))
	f.Add([]byte(Masked(Fin|RSV1|Text, Deflate("a\xff"))))
	for _, n := range []int{4096, 4097, 65535, 65536} {
		f.Add([]byte(text(xs(n)) + bye))
	}
	f.Add([]byte(text(xs(300))[:150]))
	h := newHost(f, wsserver.NewAcceptor(wsserver.WithCompression(50)), false, transport.Accept{Limit: 4096, Stall: patience}, echo)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		fuzzing.Watch(t) // a silence, too: the socket's own patience is longer
		r := h.open(t, "Sec-WebSocket-Extensions: permessage-deflate")
		defer r.Close()
		go func() {
			r.Write(bytes)
			r.Conn.(*net.TCPConn).CloseWrite()
		}()
		closed := false
		for {
			s, err := Read(r.in)
			if err == io.EOF || errors.Is(err, syscall.ECONNRESET) { // reset, because the server has not read all
				return
			}
			require.NoError(t, err)
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
