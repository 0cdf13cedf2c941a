//go:build !js

package wsclient_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/transport"
)

func text(s string) string     { return Frame(Fin|Text, s) }
func frag(s string) string     { return Frame(Text, s) }
func more(s string) string     { return Frame(Cont, s) }
func last(s string) string     { return Frame(Fin|Cont, s) }
func ping(s string) string     { return Frame(Fin|Ping, s) }
func deflated(s string) string { return Frame(Fin|RSV1|Text, Deflate(s)) }
func xs(n int) string          { return strings.Repeat("x", n) }
func of(s ...string) []string  { return s }

func closing(code int, reason string) string { return Frame(Fin|Close, Code(code, reason)) }

var bye = closing(1000, "")

const rfcLimit = 1000

// What a client makes of a server's bytes: the texts it receives, how it ends,
// and the frames it sends.
var rfc6455 = []struct {
	name, bytes string
	texts       []string
	reason      transport.Reason // Normal: io.EOF
	said        []string
}{
	{"texts", text("1") + text("") + text(xs(125)) + text(xs(126)) + bye, of("1", "", xs(125), xs(126)), transport.Normal, of("close 1000")},
	{"binary", Frame(Fin|Bin, "1"), nil, transport.BadPayload, of("close 1003")},
	{"binary in fragments", Frame(Bin, "1") + last("2"), nil, transport.BadPayload, of("close 1003")},

	{"ping, empty", ping("") + bye, nil, transport.Normal, of("pong ", "close 1000")},
	{"ping with binary", ping("\x00\xff\xfe") + bye, nil, transport.Normal, of("pong \x00\xff\xfe", "close 1000")},
	{"ping, 125 bytes", ping(xs(125)) + bye, nil, transport.Normal, of("pong "+xs(125), "close 1000")},
	{"ping, 126 bytes", ping(xs(126)), nil, transport.BadPayload, of("close 1002")},
	{"pings and a text", ping("1") + ping("2") + text("3") + ping("4") + bye, of("3"), transport.Normal, of("pong 1", "pong 2", "pong 4", "close 1000")},
	{"pong nobody asked for", Frame(Fin|Pong, "x") + text("1") + bye, of("1"), transport.Normal, of("close 1000")},

	{"RSV2", Frame(Fin|0x20|Text, "1"), nil, transport.BadPayload, of("close 1002")},
	{"RSV3, after a text", text("1") + Frame(Fin|0x10|Text, "2"), of("1"), transport.BadPayload, of("close 1002")},
	{"all reserved bits on a ping", Frame(Fin|0x70|Ping, ""), nil, transport.BadPayload, of("close 1002")},
	{"RSV1 on a close", Frame(Fin|RSV1|Close, Code(1000, "")), nil, transport.BadPayload, of("close 1002")},
	{"opcode 3", Frame(Fin|3, "1"), nil, transport.BadPayload, of("close 1002")},
	{"opcode 7", Frame(Fin|7, ""), nil, transport.BadPayload, of("close 1002")},
	{"opcode 11, after a text", text("1") + Frame(Fin|11, ""), of("1"), transport.BadPayload, of("close 1002")},
	{"opcode 15", Frame(Fin|15, "x"), nil, transport.BadPayload, of("close 1002")},

	{"fragments", frag("1") + more("2") + last("3") + bye, of("123"), transport.Normal, of("close 1000")},
	{"empty fragments", frag("") + more("") + last("") + bye, of(""), transport.Normal, of("close 1000")},
	{"ping between fragments", frag("1") + ping("p") + more("2") + ping("q") + last("3") + bye, of("123"), transport.Normal, of("pong p", "pong q", "close 1000")},
	{"ping in fragments", Frame(Ping, "1") + last("2"), nil, transport.BadPayload, of("close 1002")},
	{"pong in fragments", Frame(Pong, "1") + last("2"), nil, transport.BadPayload, of("close 1002")},
	{"continuation of nothing", last("1"), nil, transport.BadPayload, of("close 1002")},
	{"continuation after the end", frag("1") + last("2") + more("3"), of("12"), transport.BadPayload, of("close 1002")},
	{"text within fragments", frag("1") + text("2"), nil, transport.BadPayload, of("close 1002")},
	{"binary within fragments", frag("1") + Frame(Fin|Bin, "2"), nil, transport.BadPayload, of("close 1002")},
	{"close between fragments", frag("1") + bye + last("2"), nil, transport.Internal, of("close 1000")},
	{"close between fragments that are compressed", Frame(RSV1|Text, rfc7692Hello) + bye, nil, transport.Internal, of("close 1000")},

	{"UTF-8", text("κόσμε €😀\U0010ffff") + bye, of("κόσμε €😀\U0010ffff"), transport.Normal, of("close 1000")},
	{"UTF-8 broken over fragments", frag("\xf0\x9f") + more("\x98") + last("\x80") + bye, of("😀"), transport.Normal, of("close 1000")},
	{"not UTF-8", text("a\xffb"), nil, transport.BadPayload, of("close 1007")},
	{"not UTF-8, told before the end", frag("\xed\xa0\x80"), nil, transport.BadPayload, of("close 1007")},
	{"not UTF-8, told before the end of the frame", Frame(Text, "a\xf4\x90"+xs(100))[:5], nil, transport.BadPayload, of("close 1007")},
	{"UTF-8 cut off at the end", text("a\xe2\x82"), nil, transport.BadPayload, of("close 1007")},
	{"UTF-8 cut off at the end of the last fragment", frag("a\xe2") + last("\x82"), nil, transport.BadPayload, of("close 1007")},
	{"UTF-8 broken by the next fragment", frag("a\xe2\x82") + more("b"), nil, transport.BadPayload, of("close 1007")},
	{"overlong", text("\xc0\xaf"), nil, transport.BadPayload, of("close 1007")},
	{"surrogate", text("\xed\xa0\x80"), nil, transport.BadPayload, of("close 1007")},
	{"beyond U+10FFFF", text("\xf4\x90\x80\x80"), nil, transport.BadPayload, of("close 1007")},

	{"close without a code", Frame(Fin|Close, ""), nil, transport.Normal, of("close 1005")},
	{"close with the longest reason", closing(1000, xs(123)), nil, transport.Normal, of("close 1000")},
	{"close with too long a reason", closing(1000, xs(124)), nil, transport.BadPayload, of("close 1002")},
	{"close of one byte", Frame(Fin|Close, "\x03"), nil, transport.BadPayload, of("close 1002")},
	{"close reason that is not UTF-8", closing(1000, "a\xff"), nil, transport.BadPayload, of("close 1007")},
	{"close reason that is cut off", closing(1001, "\xe2\x82"), nil, transport.BadPayload, of("close 1007")},
	{"close in fragments", Frame(Close, Code(1000, "")), nil, transport.BadPayload, of("close 1002")},
	{"nothing after close", bye + ping("x") + text("1") + Frame(Fin|3, ""), nil, transport.Normal, of("close 1000")},
	{"going away", closing(1001, "restart"), nil, transport.GoingAway, of("close 1001")},
	{"kicked", closing(4403, ""), nil, transport.Kicked, of("close 4403")},
	{"internal error", closing(1011, "boom"), nil, transport.Internal, of("close 1011")},

	{"masked", Masked(Fin|Text, "1"), nil, transport.BadPayload, of("close 1002")},
	{"a masked ping", Masked(Fin|Ping, ""), nil, transport.BadPayload, of("close 1002")},
	{"length in two bytes that one would tell", "\x81\x7e\x00\x7d", nil, transport.BadPayload, of("close 1002")},
	{"length in eight bytes that two would tell", "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", nil, transport.BadPayload, of("close 1002")},
	{"a ping's length in two bytes", "\x89\x7e\x00\x00", nil, transport.BadPayload, of("close 1002")},
	{"length of 2^63", "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", nil, transport.BadPayload, of("close 1002")},

	{"as large as the limit", text(xs(rfcLimit)) + bye, of(xs(rfcLimit)), transport.Normal, of("close 1000")},
	{"over the limit", text(xs(rfcLimit + 1)), nil, transport.TooLarge, of("close 1009")},
	{"over the limit, told by the header", text(xs(rfcLimit + 1))[:4], nil, transport.TooLarge, of("close 1009")},
	{"over the limit in fragments", frag(xs(rfcLimit)) + last("x"), nil, transport.TooLarge, of("close 1009")},

	{"compressed, not, compressed", deflated("Hello") + text("1") + deflated("again") + bye, of("Hello", "1", "again"), transport.Normal, of("close 1000")},
	{"compressed in fragments", Frame(RSV1|Text, Deflate("Hello")[:3]) + ping("p") + last(Deflate("Hello")[3:]) + bye, of("Hello"), transport.Normal, of("pong p", "close 1000")},
	{"compressed, referring to what came before", Frame(Fin|RSV1|Text, rfc7692Hello) + Frame(Fin|RSV1|Text, "\xf2\x00\x11\x00\x00") + bye, of("Hello", "Hello"), transport.Normal, of("close 1000")},
	{"compressed, a last block", Frame(Fin|RSV1|Text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00") + bye, of("Hello"), transport.Normal, of("close 1000")},
	{"compressed, more after a last block", Frame(Fin|RSV1|Text, rfc7692Last+rfc7692World) + bye, of("HelloWorld"), transport.Normal, of("close 1000")},
	{"compressed, more after a last block, in fragments", Frame(RSV1|Text, rfc7692Last) + last(rfc7692World) + bye, of("HelloWorld"), transport.Normal, of("close 1000")},
	{"compressed and as large as the limit", deflated(xs(rfcLimit)) + bye, of(xs(rfcLimit)), transport.Normal, of("close 1000")},
	{"over the limit when inflated", deflated(xs(rfcLimit + 1)), nil, transport.TooLarge, of("close 1009")},
	{"not UTF-8 when inflated", deflated("a\xff"), nil, transport.BadPayload, of("close 1007")},
	{"compressed, and not as it says", Frame(Fin|RSV1|Text, "\xff\xff"), nil, transport.BadPayload, of("close 1007")},
	{"compressed, and cut off", Frame(Fin|RSV1|Text, rfc7692Hello[:3]), nil, transport.BadPayload, of("close 1007")},
	{"compressed from the second fragment on", frag("1") + Frame(Fin|RSV1|Cont, rfc7692Hello), nil, transport.BadPayload, of("close 1002")},
	{"compressed ping", Frame(Fin|RSV1|Ping, "1"), nil, transport.BadPayload, of("close 1002")},
}

const (
	rfc7692Hello = "\xf2\x48\xcd\xc9\xc9\x07\x00" // as in RFC 7692 §7.2.3.1
	rfc7692Last  = "\xf3\x48\xcd\xc9\xc9\x07\x00" // the same in a last block, §7.2.3.4
	rfc7692World = "\x0a\xcf\x2f\xca\x49\x01\x00"
)

func TestRFC6455AtTheClient(t *testing.T) {
	for _, c := range rfc6455 {
		t.Run(c.name, func(t *testing.T) {
			client, server := connected(t, rfcLimit)
			go io.WriteString(server, c.bytes)
			texts, err := receiveAll(client)
			assert.Equal(t, c.texts, texts)
			assertEnd(t, c.reason, err)
			assert.Error(t, client.Context().Err())
			assert.Equal(t, c.said, untilClose(t, server))
		})
	}
}

// A trickle is a connection that brings one byte at a time.
type trickle struct{ net.Conn }

func (c trickle) Read(p []byte) (int, error) { return c.Conn.Read(p[:min(1, len(p))]) }

func TestRFC6455OneByteAtATimeAtTheClient(t *testing.T) {
	for _, c := range rfc6455 {
		t.Run(c.name, func(t *testing.T) {
			client, server := connectedBy(t, trickling(), deflateAnswer, rfcLimit)
			go io.WriteString(server, c.bytes)
			texts, err := receiveAll(client)
			assert.Equal(t, c.texts, texts)
			assertEnd(t, c.reason, err)
			assert.Equal(t, c.said, untilClose(t, server))
		})
	}
}

// trickling is an HTTP client whose connections are trickles.
func trickling() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return trickle{c}, err
		},
	}}
}

func receiveAll(c transport.Conn) (texts []string, err error) {
	for {
		r, err := c.Receive()
		if err != nil {
			return texts, err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return texts, err
		}
		texts = append(texts, string(b))
	}
}

func assertEnd(t *testing.T, want transport.Reason, err error) {
	t.Helper()
	assert.Equal(t, want, transport.ReasonOf(err), "%v", err)
	assert.Equal(t, want == transport.Normal, err == io.EOF)
	if want == transport.TooLarge {
		assert.ErrorIs(t, err, transport.ErrTooLarge)
		assert.ErrorContains(t, err, fmt.Sprint(rfcLimit, " bytes"))
	}
}

// untilClose describes the client's control frames up to its close.
func untilClose(t *testing.T, server net.Conn) (said []string) {
	t.Helper()
	in := bufio.NewReader(server)
	for {
		f, err := Read(in)
		require.NoError(t, err, "after %q", said)
		assert.True(t, f.Masked)
		switch f.First {
		case Fin | Pong:
			said = append(said, "pong "+f.Payload)
		case Fin | Close:
			return append(said, fmt.Sprint("close ", f.Code()))
		default:
			require.Failf(t, "frame", "%#x", f.First)
		}
	}
}

func TestCloseCodesAtTheClient(t *testing.T) {
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		client, server := connected(t, 0)
		io.WriteString(server, closing(code, ""))
		client.Receive()
		assert.Equal(t, of(fmt.Sprint("close ", code)), untilClose(t, server), "an allowed code comes back")
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		client, server := connected(t, 0)
		io.WriteString(server, closing(code, ""))
		_, err := client.Receive()
		assertEnd(t, transport.BadPayload, err)
		assert.Equal(t, of("close 1002"), untilClose(t, server), "%d is not for the wire", code)
	}
}

// Nobody agreed to compress.
func TestAReservedBitWithoutTheExtensionIsRefused(t *testing.T) {
	client, server := connectedBy(t, nil, "", rfcLimit)
	go io.WriteString(server, deflated("Hello"))
	_, err := client.Receive()
	assertEnd(t, transport.BadPayload, err)
	assert.Equal(t, of("close 1002"), untilClose(t, server))
}

// A server that said that it forgets each message may not refer to one.
func TestWhatWasToBeForgottenCannotBeReferredTo(t *testing.T) {
	client, server := connectedBy(t, nil, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n", rfcLimit)
	go io.WriteString(server, Frame(Fin|RSV1|Text, rfc7692Hello)+Frame(Fin|RSV1|Text, "\xf2\x00\x11\x00\x00"))
	texts, err := receiveAll(client)
	assert.Equal(t, of("Hello"), texts)
	assertEnd(t, transport.BadPayload, err)
	assert.Equal(t, of("close 1007"), untilClose(t, server))
}
