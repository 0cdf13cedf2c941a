package transporttest

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
)

func closedUnanswered(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	if !l.open().Peer().Once {
		t.Skip("a stream")
	}
	for r := transport.Replaced; r <= transport.Internal; r++ {
		_, server, replies := l.greet()
		require.NoError(t, server.Close(r))
		e, ok := errors.AsType[*transport.Error](l.next(replies).err)
		require.True(t, ok, "%v: not a *transport.Error", r)
		assert.GreaterOrEqual(t, e.Status, 400, r)
	}
}

func closeReasons(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	for r := transport.Normal; r <= transport.Internal; r++ {
		_, server, replies := l.greet()
		once := server.Peer().Once
		server.Close(r)
		err := l.next(replies).err
		require.Error(t, err, r)
		if e, ok := errors.AsType[*transport.Error](err); ok && !once && e.Reason != transport.Internal {
			want := transport.CodeReason(r.CloseCode()) // codes that several reasons share
			assert.Contains(t, []transport.Reason{r, want}, e.Reason, "the reason given")
		}
	}
}

func refuses(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	_, server, replies := l.greet()
	r, ok := server.(transport.Refuser)
	if !ok {
		t.Skip("no Refuser")
	}
	r.Refuse(transport.BadPayload, "no object at byte 17")
	e, ok := errors.AsType[*transport.Error](l.next(replies).err)
	require.True(t, ok, "not a *transport.Error")
	assert.Equal(t, transport.BadPayload, e.Reason)
	assert.ErrorContains(t, e, "no object at byte 17")
	r.Refuse(transport.Internal, "again")
	assert.Error(t, server.Send(text("1")), "it is closed")
}

func lostPeer(t *testing.T, pair Pair) {
	t.Run("at the server", func(t *testing.T) {
		l := listen(t, pair, limit)
		client, server, _ := l.greet()
		ended := pump(server)
		client.Close(transport.Normal)
		assert.Error(t, l.next(ended).err)
		wait(t, "Context().Done()", server.Context().Done())
	})
	t.Run("at the client", func(t *testing.T) {
		l := listen(t, pair, limit)
		_, server, replies := l.greet()
		server.Close(transport.GoingAway)
		assert.Error(t, l.next(replies).err)
	})
}

// usually is a moment in which a call that is going to block has blocked. What
// is tested holds before and after, so nothing depends on its length.
func usually() { time.Sleep(5 * time.Millisecond) }

func closeFreesReceive(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	for range 5 {
		client, server, replies := l.greet()
		pump(server)
		usually()
		within(t, "the client's Close", func() { client.Close(transport.Normal) })
		assert.Error(t, l.next(replies).err)

		client, server, _ = l.greet()
		ended := pump(server)
		usually()
		within(t, "the server's Close", func() { server.Close(transport.GoingAway) })
		assert.Error(t, l.next(ended).err)
		client.Close(transport.Normal)
	}
	client := l.open()
	if client.Peer().Once { // nothing was sent, and still
		replies := pump(client)
		usually()
		within(t, "Close", func() { client.Close(transport.Normal) })
		assert.Error(t, l.next(replies).err)
	}
}

func closeFreesSend(t *testing.T, pair Pair) {
	t.Run("at the server", func(t *testing.T) {
		l := listen(t, pair, 64<<20)
		client := l.open()
		sent := l.send(client, text("1"))
		go client.Receive() // and reads nothing of it
		server := l.accept()
		require.Equal(t, "[1]", l.read(server))
		wait(t, "Send", sent)
		if server.Peer().Once {
			flood(t, server, sized(32<<20), 1)
		} else {
			flood(t, server, sized(128<<10), -1)
		}
	})
	t.Run("at the client", func(t *testing.T) {
		l := listen(t, pair, 64<<20)
		client := l.open()
		if client.Peer().Once {
			t.Skip("Send of a client's exchange does not block")
		}
		l.accept() // and never receives
		flood(t, client, sized(128<<10), -1)
	})
}

// flood sends p n times, without end if n is negative, to a peer that does not
// read, and closes c when nothing moves any more.
func flood(t *testing.T, c transport.Conn, p *transport.Payload, n int) {
	t.Helper()
	var sent atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; n != 0; n-- {
			if c.Send(p) != nil {
				return
			}
			sent.Add(1)
		}
	}()
	for last := int64(-1); last != sent.Load(); {
		last = sent.Load()
		select {
		case <-done:
		case <-time.After(50 * time.Millisecond):
		}
	}
	within(t, "Close", func() { c.Close(transport.Stalled) })
	wait(t, "Send", done)
}

func closeAgain(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	client, server, _ := l.greet()
	pump(server)
	var closing sync.WaitGroup
	for range 8 {
		closing.Go(func() { client.Close(transport.Normal) })
		closing.Go(func() { server.Close(transport.GoingAway) })
		closing.Go(func() { server.Context(); client.Context(); server.Peer(); client.Peer() })
	}
	closing.Go(func() { server.Send(text("1")) })
	within(t, "Close", closing.Wait)
	within(t, "Close", func() { client.Close(transport.Internal); server.Close(transport.Internal) })
}

func deadAfterClose(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	client, server, _ := l.greet()
	server.Close(transport.GoingAway)
	assert.Error(t, server.Send(text("1")), "the server's Send")
	assert.Error(t, receive(server).err, "the server's Receive")
	client.Close(transport.Normal)
	assert.Error(t, client.Send(text("1")), "the client's Send")

	client = l.open()
	client.Close(transport.Normal)
	assert.Error(t, client.Send(text("1")), "the client's Send")
	assert.Error(t, receive(client).err, "the client's Receive")
}

func contextDone(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	client, server, replies := l.greet()
	assert.NoError(t, client.Context().Err())
	assert.NoError(t, server.Context().Err())
	sent := l.send(server, text("1"))
	require.Equal(t, received{text: "[1]"}, l.next(replies))
	wait(t, "Send", sent)
	server.Close(transport.Normal)
	client.Close(transport.Normal)
	wait(t, "the server's Context().Done()", server.Context().Done())
	wait(t, "the client's Context().Done()", client.Context().Done())
}

func peerStays(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	client, server, _ := l.greet()
	assert.Same(t, client.Peer(), client.Peer())
	assert.Same(t, server.Peer(), server.Peer())
	assert.NotEmpty(t, server.Peer().Type)
	assert.Equal(t, server.Peer().Type, client.Peer().Type)
	assert.Equal(t, server.Peer().Once, client.Peer().Once)
	assert.True(t, server.Peer().Once || !server.Peer().Polled, "only a Once Conn is Polled")
	before := *server.Peer()
	server.Close(transport.Normal)
	client.Close(transport.Normal)
	assert.Equal(t, before, *server.Peer())
}

func independent(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	lost, _, lostReplies := l.greet()
	_, closed, closedReplies := l.greet()
	_, kept, keptReplies := l.greet()
	lost.Close(transport.Normal)
	closed.Close(transport.Internal)
	sent := l.send(kept, text("2"))
	assert.Equal(t, received{text: "[2]"}, l.next(keptReplies))
	wait(t, "Send", sent)
	assert.Error(t, l.next(lostReplies).err)
	assert.Error(t, l.next(closedReplies).err)
}

func starts(t *testing.T, pair Pair) {
	l := listen(t, pair, limit)
	client, server, replies := l.greet()
	s, ok := server.(transport.Starter)
	if !ok {
		t.Skip("no Starter")
	}
	t.Run("in order, done once for each that was kept", func(t *testing.T) {
		for i := range 300 {
			p := sized(1000 + i*100)
			want := wire(p)
			done := make(chan error, 2)
			sent := s.Start(p, func(err error) { done <- err })
			spoil(p)
			if !sent {
				require.NoError(t, <-done)
			}
			require.Equal(t, received{text: want}, l.next(replies))
			require.Empty(t, done, "done again")
		}
	})
	client.Close(transport.Normal)
	t.Run("Close ends what was kept", func(t *testing.T) {
		sent := l.send(l.open(), text("1"))
		server := l.accept()
		require.Equal(t, "[1]", l.read(server))
		wait(t, "Send", sent)
		done := make(chan error, 2)
		for stuck := false; !stuck; { // until the network refuses, and goes on refusing
			if server.(transport.Starter).Start(sized(128<<10), func(err error) { done <- err }) {
				continue
			}
			select {
			case err := <-done:
				require.NoError(t, err)
			case <-time.After(100 * time.Millisecond):
				stuck = true
			}
		}
		server.Close(transport.Stalled)
		select {
		case err := <-done:
			assert.Error(t, err)
			assert.NotErrorIs(t, err, io.EOF)
		case <-time.After(patience):
			assert.Fail(t, "done was not called")
		}
	})
}
