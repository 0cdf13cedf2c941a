package transporttest

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
)

// patience is how long anything may take that should happen at once. It is long
// only because test machines are slow; no promise depends on it.
const patience = 20 * time.Second

const limit = 256 << 10

// A link is a server end, and a way to dial it.
type link struct {
	t     *testing.T
	dial  Dial
	conns chan transport.Conn // server ends, as they are accepted
}

// listen sets up a server end whose Conns live until the test ends or they are
// given to release.
func listen(t *testing.T, pair Pair, limit int) *link {
	l := &link{t: t, conns: make(chan transport.Conn, 64)}
	over := make(chan struct{})
	l.dial = pair(t, limit, func(c transport.Conn) {
		l.conns <- c
		select {
		case <-over:
		case <-c.Context().Done():
		}
	})
	t.Cleanup(func() { close(over) }) // before the cleanup of pair, which waits for serve
	return l
}

// open dials, and closes at the end of the test.
func (l *link) open() transport.Conn {
	l.t.Helper()
	c, err := l.dial()
	require.NoError(l.t, err, "dial")
	l.t.Cleanup(func() { c.Close(transport.Normal) })
	return c
}

// accept is the server's end of what was just dialled, and for Once, sent.
func (l *link) accept() transport.Conn {
	l.t.Helper()
	select {
	case c := <-l.conns:
		return c
	case <-time.After(patience):
		require.FailNow(l.t, "the server accepted no Conn")
		return nil
	}
}

// greet makes a connected pair over which one request has gone. The client is
// receiving; what it gets is in replies. A network may take nothing that is not
// read, so each Send has a reader, and a goroutine or a limit of time.
func (l *link) greet() (client, server transport.Conn, replies <-chan received) {
	l.t.Helper()
	client = l.open()
	sent := l.send(client, text(`"hello"`))
	replies = pump(client)
	server = l.accept()
	require.Equal(l.t, `["hello"]`, l.read(server))
	wait(l.t, "Send", sent)
	return client, server, replies
}

// send sends the payloads one after the other; the channel is closed at the end.
func (l *link) send(c transport.Conn, payloads ...*transport.Payload) <-chan struct{} {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, p := range payloads {
			assert.NoError(l.t, c.Send(p), "send")
		}
	}()
	return sent
}

// attempt sends a payload that the peer may refuse.
func attempt(c transport.Conn, p *transport.Payload) <-chan struct{} {
	tried := make(chan struct{})
	go func() { defer close(tried); _ = c.Send(p) }()
	return tried
}

// read receives one payload at c.
func (l *link) read(c transport.Conn) string {
	l.t.Helper()
	var got received
	within(l.t, "receive", func() { got = receive(c) })
	require.NoError(l.t, got.err, "receive")
	return got.text
}

// next waits for what a pump received.
func (l *link) next(from <-chan received) received {
	l.t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patience):
		require.FailNow(l.t, "nothing was received")
		return received{}
	}
}

type received struct {
	text string
	err  error
}

func receive(c transport.Conn) received {
	r, err := c.Receive()
	if err != nil {
		return received{err: err}
	}
	b, err := io.ReadAll(r)
	return received{string(b), err}
}

// pump receives until the Conn ends; the last received has the error.
func pump(c transport.Conn) <-chan received {
	out := make(chan received, 1024)
	go func() {
		for {
			got := receive(c)
			out <- got
			if got.err != nil {
				return
			}
		}
	}()
	return out
}

// within fails the test if f takes too long.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	wait(t, what, done)
}

func wait(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(t, what+" did not return")
	}
}

// text is a payload of the given messages.
func text(messages ...string) *transport.Payload {
	p := &transport.Payload{}
	for _, m := range messages {
		p.Messages = append(p.Messages, []byte(m))
	}
	return p
}

// sized is a payload of n bytes on the wire, n ≥ 2 and not 3.
func sized(n int) *transport.Payload {
	if n == 2 {
		return text()
	}
	return text(`"` + strings.Repeat("x", n-4) + `"`)
}

func wire(p *transport.Payload) string { return string(p.AppendTo(nil)) }
