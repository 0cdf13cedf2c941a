//go:build !js

package wsserver_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

// pipe opens one WebSocket over loopback, with the kernel's own buffers.
func pipe(b *testing.B) (client, server transport.Conn) {
	conns, over := make(chan transport.Conn), make(chan struct{})
	h := newHost(b, wsserver.NewAcceptor(), false, transport.Accept{}, func(c transport.Conn) {
		conns <- c
		<-over
	})
	b.Cleanup(func() { close(over) })
	target := h.target(0)
	target.HTTP.Transport = nil
	client, err := wsclient.NewDialer().Dial(b.Context(), target)
	require.NoError(b, err)
	b.Cleanup(func() { client.Close(transport.Normal) })
	return client, <-conns
}

func discard(c transport.Conn) {
	for {
		r, err := c.Receive()
		if err != nil {
			return
		}
		io.Copy(io.Discard, r)
	}
}

func delivery() *transport.Payload {
	return &transport.Payload{Messages: [][]byte{[]byte(`{"channel":"/a","data":"` + strings.Repeat("x", 128) + `"}`)}}
}

// Every one of these must say 0 allocs/op.
func BenchmarkServerSend(b *testing.B) {
	client, server := pipe(b)
	go discard(client)
	p := delivery()
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, server.Send(p))
	}
}

func BenchmarkServerStart(b *testing.B) {
	client, server := pipe(b)
	go discard(client)
	p, done := delivery(), make(chan error, 1)
	finished := func(err error) { done <- err }
	s := server.(transport.Starter)
	b.ReportAllocs()
	for b.Loop() {
		if !s.Start(p, finished) {
			<-done
		}
	}
}

func BenchmarkClientSend(b *testing.B) {
	client, server := pipe(b)
	go discard(server)
	p := delivery()
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, client.Send(p))
	}
}

func BenchmarkServerReceive(b *testing.B) { benchmarkReceive(b, true) }
func BenchmarkClientReceive(b *testing.B) { benchmarkReceive(b, false) }

func benchmarkReceive(b *testing.B, atServer bool) {
	from, to := pipe(b) // client, server
	if !atServer {
		from, to = to, from
	}
	p := delivery()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for from.Send(p) == nil {
		}
	}()
	buf := make([]byte, 4096)
	b.ReportAllocs()
	b.SetBytes(int64(p.Len()))
	for b.Loop() {
		r, err := to.Receive()
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Read(buf)
		}
	}
	from.Close(transport.Normal)
	<-sent
}

// The whole life of a socket: connect, upgrade, close.
func BenchmarkOpen(b *testing.B) {
	h := newHost(b, wsserver.NewAcceptor(), false, transport.Accept{}, discard)
	addr := h.Listener.Addr().String()
	const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
	buf := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", addr)
		require.NoError(b, err)
		io.WriteString(c, upgrade)
		_, err = c.Read(buf)
		require.NoError(b, err)
		c.Close()
	}
}
