package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/server"
)

func TestAPeerThatNeverReadsIsClosedByItsLimitAndOthersAreWell(t *testing.T) {
	srv, err := cometd.NewServer(
		server.WithLimits(server.Limits{Write: 200 * time.Millisecond}),
		server.WithChannel("/a", server.ChannelOptions{Overflow: server.DropOldest}))
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer srv.Close()
	ws, _, err := websocket.Dial(t.Context(), hs.URL, nil)
	require.NoError(t, err)
	defer ws.CloseNow()
	ws.SetReadLimit(-1)
	say := func(payload string) message {
		require.NoError(t, ws.Write(t.Context(), websocket.MessageText, []byte(payload)))
		_, b, err := ws.Read(t.Context())
		require.NoError(t, err)
		return parse(t, string(b))[0]
	}
	id := say(`[{"channel":"/meta/handshake","id":"1"}]`)["clientId"].(string)
	say(`[{"channel":"/meta/subscribe","id":"2","clientId":"` + id + `","subscription":"/a"}]`)

	big := strings.Repeat("x", 60_000)
	for end := time.Now().Add(20 * time.Second); srv.Stats().Limited["write"] == 0 || srv.Stats().Dropped == 0; {
		require.True(t, time.Now().Before(end), "the peer was never closed, or nothing dropped")
		require.NoError(t, srv.Publish(t.Context(), "/a", big))
		assert.LessOrEqual(t, srv.Stats().QueuedBytes, 1<<20+len(big)+100)
	}
	assert.NotNil(t, srv.Session(id), "the session outlives its socket")
}

func TestABodyThatDoesNotComeIsRefusedInTime(t *testing.T) {
	srv, err := cometd.NewServer(server.WithLimits(server.Limits{Body: 50 * time.Millisecond}))
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	defer hs.Close()
	defer srv.Close()
	conn, err := net.Dial("tcp", hs.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[{")
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "408")
	require.Eventually(t, func() bool { return srv.Stats().Limited["body"] == 1 }, 5*time.Second, time.Millisecond)
}
