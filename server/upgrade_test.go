package server_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

// A slowAcceptor lets time pass between the 101 and the server's hearing of it,
// which on a busy machine passes by itself.
type slowAcceptor struct {
	transport.Acceptor
	opened chan<- struct{}
	goOn   <-chan struct{}
}

func (a slowAcceptor) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	a.Acceptor.Serve(w, r, o, func(c transport.Conn) {
		close(a.opened)
		<-a.goOn
		serve(c)
	})
}

const upgradeRequest = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// Close leaves nothing of a socket that was accepted while it began.
func TestCloseWaitsForASocketThatWasJustAccepted(t *testing.T) {
	opened, goOn := make(chan struct{}), make(chan struct{})
	srv, err := server.New(server.WithTransports(slowAcceptor{wsserver.NewAcceptor(), opened, goOn}))
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	c, _ := say(t, hs, upgradeRequest)
	defer c.Close()
	<-opened
	closed := make(chan error, 1)
	go func() { closed <- srv.Close() }()
	require.Eventually(t, func() bool { return srv.Publish(t.Context(), "/a", 1) != nil }, 10*time.Second, time.Millisecond, "it closes")
	close(goOn)
	require.NoError(t, <-closed)
	var all bytes.Buffer
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&all, 2))
	assert.False(t, bytes.Contains(all.Bytes(), []byte("wsserver.(*conn).run")), "the socket has a goroutine still")
}

// A closedAcceptor is called by a server that closes while the 101 is sent.
type closedAcceptor struct{ transport.Acceptor }

func (a closedAcceptor) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	late := *o
	late.Go = func(func()) bool { return false }
	a.Acceptor.Serve(w, r, &late, serve)
}

// A socket that is accepted too late is told to come again, and nobody waits
// for it.
func TestASocketThatIsAcceptedTooLateIsToldToComeAgain(t *testing.T) {
	srv, err := server.New(server.WithTransports(closedAcceptor{wsserver.NewAcceptor()}))
	require.NoError(t, err)
	defer srv.Close()
	hs := httptest.NewServer(srv)
	defer hs.Close()
	c, in := say(t, hs, upgradeRequest)
	defer c.Close()
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	f, err := wiretest.Read(in)
	require.NoError(t, err)
	assert.EqualValues(t, wiretest.Fin|wiretest.Close, f.First)
	assert.Equal(t, 1001, f.Code())
}
