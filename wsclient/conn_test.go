//go:build !js

package wsclient_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

func payload(messages ...string) *transport.Payload {
	p := &transport.Payload{}
	for _, m := range messages {
		p.Messages = append(p.Messages, []byte(m))
	}
	return p
}

// connected dials a server whose side of the socket is bytes.
func connected(t *testing.T, limit int, opts ...wsclient.Option) (transport.Conn, net.Conn) {
	return connectedWith(t, "Sec-WebSocket-Extensions: permessage-deflate\r\n", limit, opts...)
}

func connectedWith(t *testing.T, header string, limit int, opts ...wsclient.Option) (transport.Conn, net.Conn) {
	servers, over := make(chan net.Conn, 1), make(chan struct{})
	target := answers(t, upgrades(header, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		servers <- c
		<-over
	}))
	t.Cleanup(func() { close(over) })
	target.Limit = limit
	c, err := wsclient.NewDialer(append([]wsclient.Option{wsclient.WithCompression(1000)}, opts...)...).Dial(t.Context(), target)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(transport.Normal) })
	return c, <-servers
}

func TestFramesAreWholeAndMasked(t *testing.T) {
	c, server := connected(t, 0)
	in := bufio.NewReader(server)
	keys := map[[4]byte]bool{}
	for _, n := range []int{0, 1, 100, 123, 124, 900} {
		message := strings.Repeat("x", n)
		require.NoError(t, c.Send(payload(message)))
		f, err := Read(in)
		require.NoError(t, err)
		assert.True(t, f.Masked)
		assert.Equal(t, Seen{First: Fin | Text, Masked: true, Key: f.Key, Payload: "[" + message + "]"}, f)
		keys[f.Key] = true
	}
	assert.Greater(t, len(keys), 4, "a new key for each")
	go c.Send(payload(strings.Repeat("large", 50_000)))
	f, err := Read(in)
	require.NoError(t, err)
	assert.Equal(t, byte(Fin|RSV1|Text), f.First)
	got, err := Inflate(f.Payload)
	require.NoError(t, err)
	assert.Equal(t, "["+strings.Repeat("large", 50_000)+"]", got)
}

// What a client makes of a server's bytes: the texts it receives, how it ends,
// and the code it says.
func TestRFC6455AtTheClient(t *testing.T) {
	xs := strings.Repeat("x", 1000)
	for _, c := range []struct {
		name, bytes string
		texts       []string
		reason      transport.Reason // Normal: io.EOF
		code        int
	}{
		{"texts", Frame(Fin|Text, "1") + Frame(Fin|Text, "") + Frame(Fin|Text, xs) + Frame(Fin|Close, Code(1000, "")), []string{"1", "", xs}, transport.Normal, 1000},
		{"fragments and control frames", Frame(Text, "1") + Frame(Fin|Pong, "x") + Frame(Cont, "2") + Frame(Fin|Cont, "3") + Frame(Fin|Close, ""), []string{"123"}, transport.Normal, 1005},
		{"compressed", Frame(Fin|RSV1|Text, Deflate("Hello")) + Frame(Fin|Text, "1") + Frame(Fin|Close, Code(1000, "")), []string{"Hello", "1"}, transport.Normal, 1000},
		{"UTF-8 broken over fragments", Frame(Text, "\xf0\x9f") + Frame(Fin|Cont, "\x98\x80") + Frame(Fin|Close, Code(1000, "")), []string{"😀"}, transport.Normal, 1000},
		{"going away", Frame(Fin|Close, Code(1001, "restart")), nil, transport.GoingAway, 1001},
		{"kicked", Frame(Fin|Close, Code(4403, "")), nil, transport.Kicked, 4403},
		{"internal error", Frame(Fin|Close, Code(1011, "boom")), nil, transport.Internal, 1011},
		{"binary", Frame(Fin|Bin, "1"), nil, transport.BadPayload, 1003},
		{"not UTF-8", Frame(Fin|Text, "\xff"), nil, transport.BadPayload, 1007},
		{"reserved bit", Frame(Fin|0x20|Text, "1"), nil, transport.BadPayload, 1002},
		{"reserved opcode", Frame(Fin|3, "1"), nil, transport.BadPayload, 1002},
		{"continuation of nothing", Frame(Fin|Cont, "1"), nil, transport.BadPayload, 1002},
		{"ping too large", Frame(Fin|Ping, xs[:126]), nil, transport.BadPayload, 1002},
		{"close code that is not for the wire", Frame(Fin|Close, Code(1006, "")), nil, transport.BadPayload, 1002},
		{"masked", Masked(Fin|Text, "1"), nil, transport.BadPayload, 1002},
		{"ping in fragments", Frame(Ping, "1") + Frame(Fin|Cont, "2"), nil, transport.BadPayload, 1002},
		{"compressed ping", Frame(Fin|RSV1|Ping, "1"), nil, transport.BadPayload, 1002},
		{"text within fragments", Frame(Text, "1") + Frame(Fin|Text, "2"), nil, transport.BadPayload, 1002},
		{"close of one byte", Frame(Fin|Close, "\x03"), nil, transport.BadPayload, 1002},
		{"close reason that is not UTF-8", Frame(Fin|Close, Code(1000, "\xff")), nil, transport.BadPayload, 1007},
		{"length in two bytes that one would tell", "\x81\x7e\x00\x7d", nil, transport.BadPayload, 1002},
		{"length in eight bytes that two would tell", "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", nil, transport.BadPayload, 1002},
		{"length of 2^63", "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", nil, transport.BadPayload, 1002},
		{"compressed, and not as it says", Frame(Fin|RSV1|Text, "\xff\xff"), nil, transport.BadPayload, 1007},
		{"over the limit", Frame(Fin|Text, xs+"x"), nil, transport.TooLarge, 1009},
		{"over the limit in fragments", Frame(Text, xs) + Frame(Fin|Cont, "x"), nil, transport.TooLarge, 1009},
		{"over the limit when inflated", Frame(Fin|RSV1|Text, Deflate(xs+xs)), nil, transport.TooLarge, 1009},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := connected(t, 1000)
			go io.WriteString(server, c.bytes)
			var texts []string
			var err error
			for {
				var r io.Reader
				if r, err = client.Receive(); err != nil {
					break
				}
				var b []byte
				if b, err = io.ReadAll(r); err != nil {
					break
				}
				texts = append(texts, string(b))
			}
			assert.Equal(t, c.texts, texts)
			assert.Equal(t, c.reason, transport.ReasonOf(err), "%v", err)
			assert.Equal(t, c.reason == transport.Normal, err == io.EOF)
			if c.reason == transport.TooLarge {
				assert.ErrorIs(t, err, transport.ErrTooLarge)
				assert.ErrorContains(t, err, "1000 bytes")
			}
			assert.Error(t, client.Context().Err())
			f, err := Read(bufio.NewReader(server))
			require.NoError(t, err)
			assert.Equal(t, byte(Fin|Close), f.First)
			assert.True(t, f.Masked)
			assert.Equal(t, c.code, f.Code())
		})
	}
}

// Nobody agreed to compress.
func TestAReservedBitWithoutTheExtensionIsRefused(t *testing.T) {
	client, server := connectedWith(t, "", 1000)
	go io.WriteString(server, Frame(Fin|RSV1|Text, Deflate("Hello")))
	_, err := client.Receive()
	assert.Equal(t, transport.BadPayload, transport.ReasonOf(err), "%v", err)
	f, err := Read(bufio.NewReader(server))
	require.NoError(t, err)
	assert.Equal(t, 1002, f.Code())
}

// The mask bit is in the second byte, which may come alone.
func TestAMaskIsSeenHoweverItComes(t *testing.T) {
	client, server := connected(t, 1000)
	go func() {
		for _, b := range []byte(Masked(Fin|Text, "1")) {
			server.Write([]byte{b})
		}
	}()
	_, err := client.Receive()
	assert.Equal(t, transport.BadPayload, transport.ReasonOf(err), "%v", err)
	f, err := Read(bufio.NewReader(server))
	require.NoError(t, err)
	assert.Equal(t, 1002, f.Code())
}

func TestPingsAreAnswered(t *testing.T) {
	c, server := connected(t, 0)
	go c.Receive()
	io.WriteString(server, Frame(Fin|Ping, "are you there"))
	f, err := Read(bufio.NewReader(server))
	require.NoError(t, err)
	assert.Equal(t, Seen{First: Fin | Pong, Masked: true, Key: f.Key, Payload: "are you there"}, f)
}

func TestCloseTellsTheServerWhy(t *testing.T) {
	c, server := connected(t, 0)
	require.NoError(t, c.Send(payload("last")))
	c.Close(transport.GoingAway)
	c.Close(transport.Internal)
	in := bufio.NewReader(server)
	f, err := Read(in)
	require.NoError(t, err)
	assert.Equal(t, "[last]", f.Payload)
	f, err = Read(in)
	require.NoError(t, err)
	assert.Equal(t, Code(1001, transport.GoingAway.Text()), f.Payload)
	_, err = in.ReadByte()
	assert.Equal(t, io.EOF, err)
}

// A connection that is half open is found within the two defaults; one whose
// server answers stays, however quiet it is.
func TestASilentServerIsFound(t *testing.T) {
	for _, alive := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			over := make(chan struct{})
			go func() {
				defer close(over)
				defer there.Close()
				in := bufio.NewReader(there)
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				io.WriteString(there, switching(r)+"\r\n")
				for {
					f, err := Read(in)
					if err != nil {
						return
					}
					if alive && f.First == Fin|Ping {
						io.WriteString(there, Frame(Fin|Pong, f.Payload))
					}
				}
			}()
			hc := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }}}
			c, err := wsclient.NewDialer().Dial(t.Context(), &transport.Target{URL: &url.URL{Scheme: "http", Host: "server"}, HTTP: hc})
			require.NoError(t, err)
			start, ended := time.Now(), make(chan error, 1)
			go func() { _, err := c.Receive(); ended <- err }()
			select {
			case err := <-ended:
				assert.False(t, alive)
				assert.Equal(t, transport.Idle, transport.ReasonOf(err))
				assert.Equal(t, 35*time.Second, time.Since(start))
			case <-time.After(24 * time.Hour):
				assert.True(t, alive)
			}
			c.Close(transport.Normal)
			<-over
		})
	}
}
