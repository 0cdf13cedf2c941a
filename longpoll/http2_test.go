package longpoll

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/webtest"
	"github.com/gocometd/cometd/transport"
)

// overHTTP2 has a peer send one request to serve, over a connection in memory.
// handled is closed when the http.Server has its goroutine back.
func overHTTP2(t *testing.T, o transport.Accept, web *http.Server, window int, serve func(transport.Conn)) (peer *webtest.HTTP2, handled <-chan struct{}) {
	pipes, over := webtest.NewPipes(), make(chan struct{})
	inner := handler(NewAcceptor(), &o, serve)
	web.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(over)
		inner.ServeHTTP(w, r)
	})
	web.Protocols = new(http.Protocols)
	web.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan error, 1)
	go func() { served <- web.Serve(pipes) }()
	t.Cleanup(func() {
		web.Close()
		assert.ErrorIs(t, <-served, http.ErrServerClosed)
		<-over
	})
	nc, err := pipes.Dial()
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	peer, err = webtest.NewHTTP2(nc, window)
	require.NoError(t, err)
	require.NoError(t, peer.Ask("POST", "/cometd", "[1]"))
	return peer, over
}

// A bigAnswer is the Conn that sends it, and what became of it.
type bigAnswer struct {
	conns chan transport.Conn
	errs  chan error
}

func newBigAnswer() *bigAnswer { return &bigAnswer{make(chan transport.Conn, 1), make(chan error, 1)} }

// serve answers with n bytes.
func (s *bigAnswer) serve(n int) func(transport.Conn) {
	return func(c transport.Conn) {
		r, err := c.Receive()
		if err == nil {
			io.Copy(io.Discard, r)
		}
		s.conns <- c
		s.errs <- c.Send(&transport.Payload{Messages: [][]byte{bytes.Repeat([]byte("1"), n)}})
	}
}

// What a peer does not take over HTTP/2, be it its stream or the connection, is
// given up in time, whatever the http.Server's limits are, of which it has none
// for that unless it is told.
func TestAStalledAnswerOverHTTP2IsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		window int
		reads  bool
	}{
		"the peer reads nothing":          {1 << 20, false},
		"the peer opens no window":        {0, true},
		"the peer opens none, reads none": {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				s := newBigAnswer()
				peer, handled := overHTTP2(t, transport.Accept{Stall: 10 * time.Second}, &http.Server{}, c.window, s.serve(200<<10))
				if c.reads {
					go io.Copy(io.Discard, peer)
				}
				err := <-s.errs
				assert.Equal(t, transport.Stalled, transport.ReasonOf(err), err)
				assert.Equal(t, 10*time.Second, time.Since(begin))
				<-(<-s.conns).Context().Done()
				if c.reads {
					<-handled // the stream was reset
				}
			})
		})
	}
}

// Close waits for no peer, and frees a Send that does.
func TestCloseFreesAnAnswerOverHTTP2(t *testing.T) {
	for name, window := range map[string]int{"the peer reads nothing": 1 << 20, "the peer opens no window": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				s := newBigAnswer()
				overHTTP2(t, transport.Accept{}, &http.Server{}, window, s.serve(200<<10))
				synctest.Wait()
				require.Empty(t, s.errs, "it waits")
				(<-s.conns).Close(transport.GoingAway)
				assert.ErrorIs(t, <-s.errs, transport.ErrClosed)
				assert.Zero(t, time.Since(begin))
			})
		})
	}
}

// The http.Server frees the request's own goroutine, where it is told how long
// a connection may take nothing.
func TestAConnectionThatTakesNothingEndsByWriteByteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		s, web := newBigAnswer(), &http.Server{HTTP2: &http.HTTP2Config{WriteByteTimeout: 11 * time.Second}}
		_, handled := overHTTP2(t, transport.Accept{Stall: 10 * time.Second}, web, 1<<20, s.serve(200<<10))
		assert.Equal(t, transport.Stalled, transport.ReasonOf(<-s.errs))
		<-handled
		assert.Less(t, time.Since(begin), 20*time.Second)
	})
}

// The limit is for progress, not for the whole answer.
func TestASlowPeerOverHTTP2GetsAllOfALongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		s := newBigAnswer()
		peer, _ := overHTTP2(t, transport.Accept{Stall: 10 * time.Second}, &http.Server{}, 1<<20, s.serve(400<<10))
		got := 0
		for got < 400<<10+2 {
			f, err := peer.Next()
			require.NoError(t, err)
			if f.Type == webtest.Data {
				got += len(f.Payload)
				time.Sleep(time.Second)
			}
		}
		assert.Greater(t, time.Since(begin), 20*time.Second)
		assert.NoError(t, <-s.errs)
		for f := (webtest.Frame{}); f.Type != webtest.Data; { // the empty one, which ends the stream
			var err error
			f, err = peer.Next()
			require.NoError(t, err)
			require.NotEqual(t, webtest.ResetStream, f.Type)
		}
	})
}

// A requester that is gone is no stall.
func TestAnAnswerForAClosedConnectionOverHTTP2Fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBigAnswer()
		peer, handled := overHTTP2(t, transport.Accept{Stall: time.Hour}, &http.Server{}, 1<<20, s.serve(200<<10))
		synctest.Wait()
		peer.Close()
		err := <-s.errs
		assert.NotErrorIs(t, err, transport.ErrClosed)
		e, ok := errors.AsType[*transport.Error](err)
		require.True(t, ok, err)
		assert.Equal(t, transport.Internal, e.Reason)
		<-handled
	})
}

// The http.Server's WriteTimeout is for other answers, here as on HTTP/1.
func TestAHeldRequestOverHTTP2OutlivesTheWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		peer, handled := overHTTP2(t, transport.Accept{Stall: 10 * time.Second}, &http.Server{WriteTimeout: 10 * time.Second}, 1<<20, func(c transport.Conn) {
			time.Sleep(time.Minute)
			assert.NoError(t, c.Send(&transport.Payload{}))
		})
		go io.Copy(io.Discard, peer)
		<-handled
		assert.Equal(t, time.Minute, time.Since(begin))
	})
}
