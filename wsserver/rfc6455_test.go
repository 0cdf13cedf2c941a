//go:build !js

package wsserver_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

const patience = 20 * time.Second

// A raw is the client's end of a WebSocket as bytes.
type raw struct {
	net.Conn
	t    testing.TB
	in   *bufio.Reader
	resp *http.Response
}

// dial connects and says nothing.
func (h *host) dial(t testing.TB) *raw {
	t.Helper()
	c, err := net.Dial("tcp", h.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &raw{Conn: c, t: t, in: bufio.NewReader(c)}
}

// open upgrades over plain TCP.
func (h *host) open(t testing.TB, header ...string) *raw {
	t.Helper()
	r := h.dial(t)
	r.write(upgradeRequest(header...))
	r.upgraded()
	return r
}

// upgraded reads the 101.
func (r *raw) upgraded() {
	r.t.Helper()
	var err error
	r.resp, err = http.ReadResponse(r.in, nil)
	require.NoError(r.t, err)
	require.Equal(r.t, http.StatusSwitchingProtocols, r.resp.StatusCode)
}

func upgradeRequest(header ...string) string {
	return "GET /cometd HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
		strings.Join(append(header, ""), "\r\n") + "\r\n"
}

func (r *raw) write(bytes string) {
	r.t.Helper()
	_, err := io.WriteString(r, bytes)
	require.NoError(r.t, err)
}

func (r *raw) read() Seen {
	r.t.Helper()
	s, err := Read(r.in)
	require.NoError(r.t, err)
	require.False(r.t, s.Masked, "a server never masks")
	return s
}

// rest describes all frames until the server ends the connection: a text as it
// is, a control frame as "pong …" or "close CODE".
func (r *raw) rest() (out []string, why string) {
	r.t.Helper()
	for {
		s, err := Read(r.in)
		if err == io.EOF || errors.Is(err, syscall.ECONNRESET) && strings.HasPrefix(out[len(out)-1], "close") {
			return out, why // reset, because there is something after the client's close
		}
		require.NoError(r.t, err, "after %.200q", out)
		switch s.First {
		case Fin | Text:
			out = append(out, s.Payload)
		case Fin | RSV1 | Text:
			text, err := Inflate(s.Payload)
			require.NoError(r.t, err)
			out = append(out, "deflated "+text)
		case Fin | Pong:
			out = append(out, "pong "+s.Payload)
		case Fin | Close:
			out = append(out, fmt.Sprint("close ", s.Code()))
			why = strings.TrimPrefix(s.Payload, Code(s.Code(), ""))
		default:
			require.Failf(r.t, "frame", "%#x", s.First)
		}
	}
}

// echo sends back every payload, in brackets.
func echo(c transport.Conn) {
	defer c.Close(transport.Normal)
	for {
		r, err := c.Receive()
		if err != nil {
			return
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return
		}
		if c.Send(&transport.Payload{Messages: [][]byte{b}}) != nil {
			return
		}
	}
}

func text(s string) string        { return Masked(Fin|Text, s) }
func frag(s string) string        { return Masked(Text, s) }
func more(s string) string        { return Masked(Cont, s) }
func last(s string) string        { return Masked(Fin|Cont, s) }
func ping(s string) string        { return Masked(Fin|Ping, s) }
func closing(code int) string     { return Masked(Fin|Close, Code(code, "")) }
func xs(n int) string             { return strings.Repeat("x", n) }
func want(out ...string) []string { return out }

// bye ends a case that should have left the socket open.
var bye = Masked(Fin|Close, Code(1000, "bye"))

const rfcLimit = 2 << 20

// What RFC 6455 asks of an endpoint, case by case, in the order of its test
// suites: the bytes of a client, and every frame it gets until the end.
var rfc6455 = []struct {
	name  string
	bytes string
	want  []string
}{
	{"text, empty", text("") + bye, want("[]", "close 1000")},
	{"text, 1 byte", text("1") + bye, want("[1]", "close 1000")},
	{"text, 125 bytes", text(xs(125)) + bye, want("["+xs(125)+"]", "close 1000")},
	{"text, 126 bytes", text(xs(126)) + bye, want("["+xs(126)+"]", "close 1000")},
	{"text, 127 bytes", text(xs(127)) + bye, want("["+xs(127)+"]", "close 1000")},
	{"text, 65535 bytes", text(xs(65535)) + bye, want("["+xs(65535)+"]", "close 1000")},
	{"text, 65536 bytes", text(xs(65536)) + bye, want("["+xs(65536)+"]", "close 1000")},
	{"text, 1 MB", text(xs(1<<20)) + bye, want("["+xs(1<<20)+"]", "close 1000")},
	{"texts in one write", text("1") + text("2") + text("3") + bye, want("[1]", "[2]", "[3]", "close 1000")},
	{"binary is refused", Masked(Fin|Bin, "12"), want("close 1003")},
	{"binary in fragments is refused", Masked(Bin, "1") + last("2"), want("close 1003")},

	{"ping, empty", ping("") + bye, want("pong ", "close 1000")},
	{"ping with text", ping("hello") + bye, want("pong hello", "close 1000")},
	{"ping with binary", ping("\x00\xff\xfe") + bye, want("pong \x00\xff\xfe", "close 1000")},
	{"ping, 125 bytes", ping(xs(125)) + bye, want("pong "+xs(125), "close 1000")},
	{"ping, 126 bytes", ping(xs(126)) + bye, want("close 1002")},
	{"ten pings", strings.Repeat(ping("x"), 10) + bye, append(slices.Repeat(want("pong x"), 10), "close 1000")},
	{"pong nobody asked for", Masked(Fin|Pong, "x") + text("1") + bye, want("[1]", "close 1000")},

	{"RSV1 without an extension", Masked(Fin|RSV1|Text, "1"), want("close 1002")},
	{"RSV2", Masked(Fin|0x20|Text, "1"), want("close 1002")},
	{"RSV3", Masked(Fin|0x10|Text, "1"), want("close 1002")},
	{"RSV on a ping, after a text", text("1") + Masked(Fin|0x20|Ping, ""), want("[1]", "close 1002")},
	{"opcode 3", Masked(Fin|3, ""), want("close 1002")},
	{"opcode 7", Masked(Fin|7, "x"), want("close 1002")},
	{"opcode 11", Masked(Fin|11, ""), want("close 1002")},
	{"opcode 15, after a text", text("1") + Masked(Fin|15, "x"), want("[1]", "close 1002")},

	{"two fragments", frag("1") + last("2") + bye, want("[12]", "close 1000")},
	{"empty fragments", frag("") + more("") + last("") + bye, want("[]", "close 1000")},
	{"fragments, the middle full", frag("") + more("12") + last("") + bye, want("[12]", "close 1000")},
	{"ping between fragments", frag("1") + ping("p") + more("2") + ping("q") + last("3") + bye, want("pong p", "pong q", "[123]", "close 1000")},
	{"ping in fragments", Masked(Ping, "1") + last("2"), want("close 1002")},
	{"continuation of nothing", last("1"), want("close 1002")},
	{"continuation after the end", frag("1") + last("2") + last("3"), want("[12]", "close 1002")},
	{"a new text before the end of the old", frag("1") + text("2"), want("close 1002")},
	{"close between fragments", frag("1") + bye, want("close 1000")},

	{"UTF-8", text("κόσμε €😀\U0010ffff") + bye, want("[κόσμε €😀\U0010ffff]", "close 1000")},
	{"UTF-8 broken over fragments", frag("a\xf0\x9f") + more("\x98") + last("\x80b") + bye, want("[a😀b]", "close 1000")},
	{"not UTF-8", text("a\xffb"), want("close 1007")},
	{"UTF-8 cut off at the end", text("a\xe2\x82"), want("close 1007")},
	{"UTF-8 cut off at the end of the last fragment", frag("a\xe2") + last("\x82"), want("close 1007")},
	{"UTF-8 broken by the next fragment", frag("a\xe2\x82") + more("b"), want("close 1007")},
	{"not UTF-8, told before the end", frag("\xed\xa0\x80"), want("close 1007")},
	{"overlong", text("\xc0\xaf"), want("close 1007")},
	{"surrogate", text("\xed\xa0\x80"), want("close 1007")},
	{"beyond U+10FFFF", text("\xf4\x90\x80\x80"), want("close 1007")},

	{"close without a code", Masked(Fin|Close, ""), want("close 1005")},
	{"close with half a code", Masked(Fin|Close, "\x03"), want("close 1002")},
	{"close with a reason", Masked(Fin|Close, Code(1000, "good bye")), want("close 1000")},
	{"close with the longest reason", Masked(Fin|Close, Code(1000, xs(123))), want("close 1000")},
	{"close with too long a reason", Masked(Fin|Close, Code(1000, xs(124))), want("close 1002")},
	{"close with a reason that is not UTF-8", Masked(Fin|Close, Code(1000, "a\xff")), want("close 1007")},
	{"close in fragments", Masked(Close, Code(1000, "")), want("close 1002")},
	{"nothing after close", bye + ping("x") + text("1") + bye, want("close 1000")},
	{"texts before close are answered", text("1") + ping("p") + bye, want("[1]", "pong p", "close 1000")},

	{"not masked", Frame(Fin|Text, "1"), want("close 1002")},
	{"a ping that is not masked", Frame(Fin|Ping, ""), want("close 1002")},
	{"a length in two bytes that one would tell", string([]byte{Fin | Text, 0x80 | 126, 0, 125}) + Masked(Fin|Text, xs(125))[2:], want("close 1002")},
	{"a length in eight bytes that two would tell", string([]byte{Fin | Text, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}) + string(Key[:]), want("close 1002")},
	{"a ping's length in two bytes", string([]byte{Fin | Ping, 0x80 | 126, 0, 0}) + string(Key[:]), want("close 1002")},
	{"a length of more than 63 bits", string([]byte{Fin | Text, 0x80 | 127, 0xff, 0, 0, 0, 0, 0, 0, 0}) + string(Key[:]), want("close 1002")},

	{"as large as the limit", text(xs(rfcLimit)) + bye, want("["+xs(rfcLimit)+"]", "close 1000")},
	{"over the limit", text(xs(rfcLimit + 1)), want("close 1009")},
	{"over the limit in fragments", frag(xs(rfcLimit)) + last("x"), want("close 1009")},
}

func TestRFC6455(t *testing.T) {
	h := newHost(t, wsserver.NewAcceptor(), false, transport.Accept{Limit: rfcLimit, Stall: patience}, echo)
	for _, c := range rfc6455 {
		t.Run(c.name, func(t *testing.T) {
			r := h.open(t)
			go io.WriteString(r, c.bytes) // the server may end before it has read all
			out, _ := r.rest()
			assertFrames(t, c.want, out)
		})
	}
}

func TestRFC6455OneByteAtATime(t *testing.T) {
	h := newHost(t, wsserver.NewAcceptor(), false, transport.Accept{Limit: rfcLimit, Stall: patience}, echo)
	for _, c := range rfc6455 {
		if len(c.bytes) > 2000 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			r := h.open(t)
			r.Conn.(*net.TCPConn).SetNoDelay(true)
			go func() {
				for i := range len(c.bytes) {
					io.WriteString(r, c.bytes[i:i+1])
				}
			}()
			out, _ := r.rest()
			assertFrames(t, c.want, out)
		})
	}
}

func assertFrames(t *testing.T, want, got []string) {
	t.Helper()
	if !slices.Equal(want, got) {
		assert.Fail(t, "frames", "want %.300q\n got %.300q", want, got)
	}
}

func TestCloseCodes(t *testing.T) {
	h := newHost(t, wsserver.NewAcceptor(), false, transport.Accept{Stall: patience}, echo)
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		r := h.open(t)
		r.write(closing(code))
		out, _ := r.rest()
		assert.Equal(t, want(fmt.Sprint("close ", code)), out, "an allowed code comes back")
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		r := h.open(t)
		r.write(closing(code))
		out, _ := r.rest()
		assert.Equal(t, want("close 1002"), out, "%d is not for the wire", code)
	}
}

// What was sent of a message before a close is not the message.
func TestAMessageWithoutItsEndIsNone(t *testing.T) {
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00" // RFC 7692 §7.2.3.1
	for name, bytes := range map[string]string{
		"closed with 1000":      frag("1") + bye,
		"closed with 1001":      frag("1") + closing(1001),
		"closed without a code": frag("1") + Masked(Fin|Close, ""),
		"compressed":            Masked(RSV1|Text, hello) + bye,
	} {
		t.Run(name, func(t *testing.T) {
			ends := make(chan error, 2)
			h := newHost(t, wsserver.NewAcceptor(wsserver.WithCompression(100)), false, transport.Accept{Stall: patience}, func(c transport.Conn) {
				r, err := c.Receive()
				if err == nil {
					_, err = io.ReadAll(r)
				}
				ends <- err
				_, err = c.Receive()
				ends <- err
			})
			r := h.open(t, "Sec-WebSocket-Extensions: permessage-deflate")
			r.write(bytes)
			r.rest()
			assert.ErrorIs(t, <-ends, io.ErrUnexpectedEOF)
			assert.ErrorIs(t, <-ends, io.ErrUnexpectedEOF, "again")
		})
	}
}

func TestRefusalNamesTheLimit(t *testing.T) {
	h := newHost(t, wsserver.NewAcceptor(), false, transport.Accept{Limit: 1000, Stall: patience}, echo)
	r := h.open(t)
	r.write(text(xs(1001)))
	out, why := r.rest()
	assert.Equal(t, want("close 1009"), out)
	assert.Equal(t, "message over the limit of 1000 bytes", why)
}

// The cases of RFC 7692: what a client may do once compression is agreed on.
func TestRFC7692(t *testing.T) {
	h := newHost(t, wsserver.NewAcceptor(wsserver.WithCompression(100)), false, transport.Accept{Limit: 1000, Stall: patience}, echo)
	hello := "\xf2\x48\xcd\xc9\xc9\x07\x00"                                        // RFC 7692 §7.2.3.1
	ended, world := "\xf3\x48\xcd\xc9\xc9\x07\x00", "\x0a\xcf\x2f\xca\x49\x01\x00" // §7.2.3.4: Hello in a last block
	for _, c := range []struct {
		name  string
		bytes string
		want  []string
	}{
		{"compressed", Masked(Fin|RSV1|Text, hello) + bye, want("[Hello]", "close 1000")},
		{"compressed in fragments", Masked(RSV1|Text, hello[:3]) + last(hello[3:]) + bye, want("[Hello]", "close 1000")},
		{"a last block", Masked(Fin|RSV1|Text, ended+"\x00") + bye, want("[Hello]", "close 1000")},
		{"more after a last block", Masked(Fin|RSV1|Text, ended+world) + bye, want("[HelloWorld]", "close 1000")},
		{"more after a last block, in fragments", Masked(RSV1|Text, ended) + last(world) + bye, want("[HelloWorld]", "close 1000")},
		{"not compressed", text("1") + bye, want("[1]", "close 1000")},
		{"compressed, not, compressed", Masked(Fin|RSV1|Text, hello) + text("1") + Masked(Fin|RSV1|Text, hello) + bye, want("[Hello]", "[1]", "[Hello]", "close 1000")},
		{"large ones come back compressed", text(xs(98)) + text("1") + bye, want("deflated ["+xs(98)+"]", "[1]", "close 1000")},
		{"small ones do not", text(xs(97)) + bye, want("["+xs(97)+"]", "close 1000")},
		{"RSV1 on a later fragment", Masked(RSV1|Text, hello[:3]) + Masked(Fin|RSV1|Cont, hello[3:]), want("close 1002")},
		{"RSV1 on a ping", Masked(Fin|RSV1|Ping, ""), want("close 1002")},
		{"not UTF-8 inside", Masked(Fin|RSV1|Text, Deflate("a\xff")), want("close 1007")},
		{"a bomb", Masked(Fin|RSV1|Text, Deflate(xs(10<<20))), want("close 1009")},
		{"not deflate", Masked(Fin|RSV1|Text, "\xff\xff\xff\xff"), want("close 1007")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.open(t, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
			assert.Contains(t, r.resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
			r.write(c.bytes)
			out, _ := r.rest()
			assertFrames(t, c.want, out)
		})
	}
	r := h.open(t) // a client that does not offer it
	r.write(text(xs(200)) + bye)
	out, _ := r.rest()
	assertFrames(t, want("["+xs(200)+"]", "close 1000"), out)
}
