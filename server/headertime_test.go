package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/server"
)

// withConnState serves srv by an http.Server that has no limits of its own.
func withConnState(t *testing.T, secure bool, limits server.Limits) (*server.Server, *httptest.Server) {
	return serveWithConnState(t, secure, limits, nil)
}

// serveWithConnState is withConnState with another handler, if one is given.
func serveWithConnState(t *testing.T, secure bool, limits server.Limits, front http.Handler) (*server.Server, *httptest.Server) {
	srv, err := cometd.NewServer(server.WithLimits(limits))
	require.NoError(t, err)
	if front == nil {
		front = srv
	}
	hs := httptest.NewUnstartedServer(front)
	hs.Config.ConnState = srv.ConnState
	hs.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	hs.EnableHTTP2 = secure
	if secure {
		hs.StartTLS()
	} else {
		hs.Start()
	}
	t.Cleanup(hs.Close)
	t.Cleanup(func() { srv.Close() })
	return srv, hs
}

// patience leaves time for a handshake of TLS, and to say something, on a busy machine.
const patience = 500 * time.Millisecond

// dialled is a connection on which nothing has been said, over TLS if hs has it.
func dialled(t *testing.T, hs *httptest.Server) net.Conn {
	c, err := net.Dial("tcp", hs.Listener.Addr().String())
	require.NoError(t, err)
	if hs.TLS != nil {
		secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, secure.Handshake())
		c = secure
	}
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return c
}

func TestAHeaderThatTakesTooLongIsRefusedByName(t *testing.T) {
	for _, secure := range []bool{false, true} {
		srv, hs := withConnState(t, secure, server.Limits{Header: patience})
		for i := range 3 {
			c := dialled(t, hs)
			_, err := io.WriteString(c, "POST /cometd HTTP/1.1\r\nHost: x\r\nContent-Le")
			require.NoError(t, err)
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err)
			assert.Equal(t, http.StatusRequestTimeout, answer.StatusCode)
			text, err := io.ReadAll(answer.Body)
			assert.NoError(t, err, "it is closed")
			assert.Equal(t, fmt.Sprintf("cometd: the header took longer than %v\n", patience), string(text))
			assert.EqualValues(t, i+1, srv.Stats().Limited["header"])
		}
	}
}

// Browsers keep such connections in store, and would take an answer for that to
// the request that they have not made yet.
func TestAConnectionThatAsksNothingIsClosedWithoutAWord(t *testing.T) {
	for _, secure := range []bool{false, true} {
		srv, hs := withConnState(t, secure, server.Limits{Header: patience})
		text, err := io.ReadAll(dialled(t, hs))
		assert.NoError(t, err)
		assert.Empty(t, text)
		assert.Zero(t, srv.Stats().Limited["header"])
	}
}

func TestAHandshakeOfTLSHasTheTimeOfTheHeader(t *testing.T) {
	srv, hs := withConnState(t, true, server.Limits{Header: 50 * time.Millisecond})
	c, err := net.Dial("tcp", hs.Listener.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = c.Write([]byte{22, 3, 1, 2}) // the first bytes of a ClientHello
	require.NoError(t, err)
	io.Copy(io.Discard, c)
	require.Eventually(t, func() bool { return srv.Stats().Limited["header"] == 1 }, 20*time.Second, time.Millisecond)
}

// The first is given up long before the second: each has its own time.
func TestTheTimeOfAHeaderBeginsWithItsConnection(t *testing.T) {
	const limit = 200 * time.Millisecond
	_, hs := withConnState(t, false, server.Limits{Header: limit})
	for range 3 {
		begun := time.Now()
		io.ReadAll(dialled(t, hs))
		assert.GreaterOrEqual(t, time.Since(begun), limit)
	}
}

// A limit on headers is none on what follows: neither on a body, nor on an
// answer, nor on a pause.
func TestWhoHasAskedInTimeIsLeftAlone(t *testing.T) {
	const limit = 500 * time.Millisecond
	for _, secure := range []bool{false, true} {
		srv, hs := withConnState(t, secure, server.Limits{Header: limit})
		asks := dialled(t, hs)
		in := bufio.NewReader(asks)
		ask := func() {
			_, err := io.WriteString(asks, "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
			answer, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			assert.NotEqual(t, http.StatusRequestTimeout, answer.StatusCode)
			io.Copy(io.Discard, answer.Body)
		}
		ask()
		for range 2 { // each of them comes after asks, and is given up after limit
			io.ReadAll(dialled(t, hs))
			ask()
		}
		assert.Zero(t, srv.Stats().Limited["header"])
	}
}

func TestWithoutALimitAHeaderMayTakeItsTime(t *testing.T) {
	_, hs := withConnState(t, false, server.Limits{Header: -1})
	c := dialled(t, hs)
	_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\n")
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = c.Read(make([]byte, 1))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	assert.True(t, timeout.Timeout(), "nothing has been answered")
}

// What was refused is not served, though it is all there.
func TestAWholeRequestThatCameTooLateIsNotServed(t *testing.T) {
	var served atomic.Int32
	count := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) })
	_, hs := serveWithConnState(t, false, server.Limits{Header: time.Nanosecond}, count)
	for range 20 {
		_, in := say(t, hs, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]")
		if answer, err := http.ReadResponse(in, nil); err == nil {
			assert.Equal(t, http.StatusRequestTimeout, answer.StatusCode)
			answer.Body.Close()
		}
	}
	assert.Zero(t, served.Load())
}
