package transporttest

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
)

func inOrder(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	client := l.open()
	if client.Peer().Once {
		for i := range 20 {
			l.roundTrip(text(strconv.Itoa(i)))
		}
		return
	}
	sent := l.send(client, text("0"))
	server := l.accept()
	require.Equal(t, "[0]", l.read(server))
	wait(t, "Send", sent)
	const n = 500
	var sending sync.WaitGroup
	for _, c := range []transport.Conn{client, server} {
		sending.Go(func() {
			for i := range n {
				assert.NoError(t, c.Send(text(strconv.Itoa(i), `"x"`)))
			}
		})
	}
	there, back := pump(server), pump(client)
	for i := range n {
		want := received{text: fmt.Sprintf(`[%d,"x"]`, i)}
		require.Equal(t, want, l.next(there), "at the server")
		require.Equal(t, want, l.next(back), "at the client")
	}
	within(t, "send", sending.Wait)
}

// roundTrip sends p over a new Conn, and back.
func (l *link) roundTrip(p *transport.Payload) {
	l.t.Helper()
	client := l.open()
	sent := l.send(client, p)
	replies := pump(client)
	server := l.accept()
	require.Equal(l.t, wire(p), l.read(server), "request")
	wait(l.t, "the client's Send", sent)
	sent = l.send(server, p)
	require.Equal(l.t, received{text: wire(p)}, l.next(replies), "answer")
	wait(l.t, "the server's Send", sent)
	client.Close(transport.Normal)
	server.Close(transport.Normal)
}

func everySize(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	for _, n := range []int{2, 4, 125, 126, 127, 128, 1000, 4096, 65535, 65536, 65537, limit - 1, limit} {
		p := sized(n)
		require.Equal(t, n, p.Len())
		l.roundTrip(p)
	}
	l.roundTrip(text(`{"a":1}`, `{"b":"é"}`, `null`))
}

func tooLarge(t *testing.T, pair Pair) {
	t.Run("at the server", func(t *testing.T) {
		l := listen(t, pair, 1000)
		client := l.open()
		sent := attempt(client, sized(1001))
		replies := pump(client)
		var got received
		select {
		case server := <-l.conns:
			within(t, "receive", func() { got = receive(server) })
			require.ErrorIs(t, got.err, transport.ErrTooLarge)
			assert.ErrorContains(t, got.err, "1000")
			server.Close(transport.TooLarge)
			got = l.next(replies)
		case got = <-replies: // the server refused it before there was a Conn
			require.ErrorIs(t, got.err, transport.ErrTooLarge)
		}
		assert.Error(t, got.err, "the client's Conn is over")
		client.Close(transport.Normal)
		wait(t, "Send", sent)
	})
	t.Run("at the client", func(t *testing.T) {
		l := listen(t, pair, 1000)
		client, server, replies := l.greet()
		sent := attempt(server, sized(1001))
		got := l.next(replies)
		require.ErrorIs(t, got.err, transport.ErrTooLarge)
		assert.ErrorContains(t, got.err, "1000")
		client.Close(transport.TooLarge)
		wait(t, "Send", sent)
	})
}

func skipsUnread(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	client := l.open()
	if client.Peer().Once {
		t.Skip("a Once Conn has no second payload")
	}
	sent := l.send(client, sized(100_000), sized(10), sized(20))
	server := l.accept()
	r, err := server.Receive()
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 10))
	require.NoError(t, err)
	_, err = server.Receive() // nothing of it is read
	require.NoError(t, err)
	assert.Equal(t, wire(sized(20)), l.read(server))
	wait(t, "Send", sent)
}

func onceEachWay(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	client := l.open()
	if !client.Peer().Once {
		t.Skip("a stream")
	}
	client, server, replies := l.greet()
	assert.Error(t, client.Send(text("2")), "a second request")
	ended := pump(server)
	require.NoError(t, server.Send(text("3")))
	assert.Error(t, server.Send(text("4")), "a second answer")
	assert.Equal(t, received{text: "[3]"}, l.next(replies))
	assert.Error(t, l.next(replies).err, "a second answer")
	assert.ErrorIs(t, l.next(ended).err, io.EOF, "the server's Receive, once the answer has left")
}

func messagesNotKept(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	client := l.open()
	request, answer := sized(5000), sized(70_000)
	wantRequest, wantAnswer := wire(request), wire(answer)
	sent := l.sendAndSpoil(client, request)
	replies := pump(client)
	server := l.accept()
	require.Equal(t, wantRequest, l.read(server))
	wait(t, "the client's Send", sent)
	sent = l.sendAndSpoil(server, answer)
	require.Equal(t, received{text: wantAnswer}, l.next(replies))
	wait(t, "the server's Send", sent)
}

// sendAndSpoil changes p's memory as soon as Send has returned.
func (l *link) sendAndSpoil(c transport.Conn, p *transport.Payload) <-chan struct{} {
	spoiled := make(chan struct{})
	go func() {
		defer close(spoiled)
		assert.NoError(l.t, c.Send(p), "send")
		spoil(p)
	}()
	return spoiled
}

func spoil(p *transport.Payload) {
	for _, m := range p.Messages {
		for i := range m {
			m[i] = '!'
		}
	}
	clear(p.Messages)
}

func messagesNotChanged(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	shared := text(`{"a":1}`, `"`+string(bytes.Repeat([]byte("x"), 3000))+`"`)
	want := wire(shared)
	var all []<-chan received
	var sending sync.WaitGroup
	for range 4 {
		_, server, replies := l.greet()
		all = append(all, replies)
		sending.Go(func() { assert.NoError(t, server.Send(&transport.Payload{Messages: shared.Messages})) })
	}
	within(t, "send", sending.Wait)
	for _, replies := range all {
		assert.Equal(t, received{text: want}, l.next(replies))
	}
	assert.Equal(t, want, wire(shared))
}
