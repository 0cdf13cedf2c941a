//go:build !js

package client_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/ext/timesync/timesyncserver"
	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/internal/wire"
	"github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

// A host is where a client dials in memory: first to somebody who says what is
// fuzzed, then to a good server.
type host struct {
	t      *testing.T
	answer string // to the upgrade
	frames string // and then
	ends   bool   // and then ends

	dials atomic.Int32
	good  chan net.Conn
	shut  chan struct{}
}

func (h *host) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	if h.dials.Add(1) == 1 {
		go h.speak(far)
		return near, nil
	}
	select {
	case h.good <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *host) Accept() (net.Conn, error) {
	select {
	case c := <-h.good:
		return c, nil
	case <-h.shut:
		return nil, net.ErrClosed
	}
}

func (h *host) Close() error   { close(h.shut); return nil } // once, by http.Server
func (h *host) Addr() net.Addr { return &net.TCPAddr{} }

// speak says what is fuzzed, with the right Sec-WebSocket-Accept where it wants
// that, to a client that must speak well itself.
func (h *host) speak(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if !assert.NoError(h.t, err) {
		return
	}
	io.WriteString(c, strings.ReplaceAll(h.answer, "$accept", wire.AcceptOf(r.Header.Get("Sec-WebSocket-Key"))))
	go func() {
		io.WriteString(c, h.frames)
		if h.ends {
			c.Close()
		}
	}()
	if resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(h.answer)), nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		io.Copy(io.Discard, in) // perhaps the next request
		return
	}
	for closed := false; ; {
		f, err := wiretest.Read(in)
		if err != nil {
			return // also in the middle of a frame, if the client gives up
		}
		assert.True(h.t, f.Masked, "a client masks")
		assert.False(h.t, closed, "%#x after the close frame", f.First)
		closed = f.First&0xf == wiretest.Close
	}
}

// events are the texts that frames make, as one payload; what cannot be read is
// left out, with all that follows.
func (h *host) events() []byte {
	in := bufio.NewReader(strings.NewReader(h.frames))
	var all, text bytes.Buffer
	deflated := false
	for {
		f, err := wiretest.Read(in)
		switch {
		case err != nil:
			return []byte("[" + strings.TrimPrefix(all.String(), ",") + "]")
		case f.First&8 != 0:
			continue
		case f.First&0xf == wiretest.Text:
			deflated = f.First&wiretest.RSV1 != 0
		}
		text.WriteString(f.Payload)
		if f.First&wiretest.Fin == 0 {
			continue
		}
		payload := text.String()
		if deflated {
			payload, _ = wiretest.Inflate(payload)
		}
		if inner := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(payload), "["), "]"); inner != "" {
			all.WriteString("," + inner)
		}
		text.Reset()
	}
}

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: $accept\r\n"

// Whatever a server answers to the upgrade, and then says in frames, the client
// comes back or says why it has ended, speaks RFC 6455 itself, and delivers
// events in the order in which they came.
func FuzzSocketAnswer(f *testing.F) {
	const deflate = upgraded + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n"
	hello := `{"channel":"/meta/handshake","id":"1","successful":true,"version":"1.0","clientId":"s1","supportedConnectionTypes":["websocket"],"ext":{"ack":true,"replay":true,"timesync":{"tc":1,"ts":2,"p":0,"a":0}}}`
	connected := `{"channel":"/meta/connect","id":"2","successful":true,"advice":{"reconnect":"retry","interval":0,"timeout":60000},"ext":{"ack":1}}`
	accepted := `{"channel":"/meta/subscribe","successful":true,"subscription":"/a/**"}`
	events := `{"channel":"/a/b","data":{"event":{"replayId":7},"n":1},"id":"1"},{"channel":"/a/c","data":"é"},{"channel":"/a/c","data":null}`
	say := func(ms ...string) string {
		return wiretest.Frame(wiretest.Fin|wiretest.Text, "["+strings.Join(ms, ",")+"]")
	}
	bye := wiretest.Frame(wiretest.Fin|wiretest.Close, wiretest.Code(1001, "bye"))
	f.Add(upgraded+"\r\n", say(hello)+say(connected)+say(accepted)+say(events, events)+bye, false)
	f.Add(upgraded+"\r\n", say(hello, connected, accepted, events)+wiretest.Frame(wiretest.Fin|wiretest.Ping, "p"), true)
	f.Add(deflate, wiretest.Frame(wiretest.Fin|wiretest.RSV1|wiretest.Text, wiretest.Deflate("["+hello+"]"))+say(connected), false)
	f.Add(upgraded+"Set-Cookie: BAYEUX_BROWSER=\x80; Path=/\r\n\r\n", say(strings.ReplaceAll(hello, `"websocket"`, ""))+say(strings.ReplaceAll(connected, "retry", "handshake")), false)
	f.Add(upgraded+"\r\n", say(hello)+say(`{"channel":"/meta/connect","id":"2","successful":false,"error":"402::x","advice":{"reconnect":"none","interval":3600000}}`), false)
	f.Add(upgraded+"\r\n", say(hello)+say(strings.ReplaceAll(connected, `"ack":1`, `"ack":-1`))+say(`{"channel":"/meta/disconnect"}`), false)
	f.Add(upgraded+"\r\n", wiretest.Frame(wiretest.Text, `[{"channel":"/meta/hand`)+wiretest.Frame(wiretest.Fin|wiretest.Pong, "")+wiretest.Frame(wiretest.Fin|wiretest.Cont, `shake"}]`), false)
	f.Add(upgraded+"\r\n", wiretest.Masked(wiretest.Fin|wiretest.Text, "[]"), false)
	f.Add(upgraded+"Sec-WebSocket-Protocol: x\r\n\r\n", "", false)
	f.Add(strings.ReplaceAll(upgraded, "$accept", "x")+"\r\n", "", false)
	f.Add("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html", "", false)
	f.Add("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "", true)
	f.Add("HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n", "", false)
	f.Add("HTTP/1.0 302 Found\r\nLocation: ws://elsewhere\r\n\r\n", "", true)
	f.Add("SSH-2.0-x\r\n", "", true)
	f.Add("", "", false)
	f.Fuzz(func(t *testing.T, answer, frames string, ends bool) {
		fuzzing.Watch(t)
		h := &host{t: t, answer: answer, frames: frames, ends: ends}
		var stop func()
		delivered := survive(t, func() []client.Option {
			h.good, h.shut = make(chan net.Conn), make(chan struct{})
			srv, err := server.New(server.WithTransports(wsserver.NewAcceptor()), server.WithLogger(fuzzing.Log(t, nil)),
				server.WithTiming(server.Timing{Timeout: 30 * time.Minute, Sweep: 10 * time.Minute}), server.WithExtension(ackserver.New(), timesyncserver.New(0)))
			require.NoError(t, err)
			web := &http.Server{Handler: srv, ErrorLog: fuzzing.ErrorLog()}
			go web.Serve(h)
			through := &http.Transport{DialContext: h.dial}
			stop = func() { srv.Close(); web.Close(); through.CloseIdleConnections() }
			return []client.Option{
				client.WithTransports(wsclient.NewDialer(wsclient.WithCompression(50), wsclient.WithPing(15*time.Minute, 10*time.Second))),
				client.WithHTTPClient(&http.Client{Transport: through}),
			}
		}, func() { stop() })
		inOrder(t, h.events(), delivered)
	})
}
