package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

func TestAPeerThatNeverReadsIsClosedByItsLimitAndOthersAreWell(t *testing.T) {
	for limit, c := range map[string]struct {
		write    time.Duration
		overflow server.Overflow
		told     string // when it comes back
	}{
		"write":         {2 * time.Second, server.DropOldest, ""},
		"session_queue": {time.Minute, server.CloseSession, "402:session_queue,1048576:session_unknown"},
	} {
		t.Run(limit, func(t *testing.T) {
			w := newRealWorld(t, bayeux.WebSocket,
				server.WithLimits(server.Limits{Write: c.write}),
				server.WithTiming(server.Timing{MaxInterval: time.Hour}),
				server.WithChannel("/a", server.ChannelOptions{Overflow: c.overflow}))
			defer w.end()
			others := []*wire{w.session("/a"), w.session("/a"), w.clientOn(bayeux.LongPolling)}
			others[2].handshake()
			others[2].begin("/a")
			id := neverReads(t, w, "/a")

			fill := strings.Repeat("x", 60_000)
			published := 0
			publish := func() {
				data := fmt.Sprintf("%d %s", published, fill)
				require.NoError(t, w.Publish(t.Context(), "/a", data))
				for _, o := range others { // in less than the minute that a write to the stalled one may take
					require.Equal(t, strconv.Quote(data), o.data(1)[0])
				}
				require.Less(t, w.Stats().QueuedBytes, 1<<20+4*len(data))
				published++
			}
			for w.Stats().Dropped == 0 {
				publish()
			}
			require.Eventually(t, func() bool { return w.Stats().Limited[limit] == 1 }, 10*time.Second, time.Millisecond)
			publish()
			assert.Len(t, w.Stats().Limited, 1)
			back := w.client()
			back.id = id
			m := back.ask(`{"channel":"/meta/connect","id":"back","clientId":"$","advice":{"timeout":0}}`)
			assert.Equal(t, c.told, m.Error)
			assert.Equal(t, c.told == "", w.Session(id) != nil, "a session outlives its socket, but not its queue")
		})
	}
}

// neverReads makes a session on a WebSocket of which nothing is read any more.
func neverReads(t *testing.T, w *world, channel string) (id string) {
	ws, _, err := websocket.Dial(t.Context(), w.http.URL, nil)
	require.NoError(t, err)
	t.Cleanup(func() { ws.CloseNow() })
	write := func(payload string) {
		require.NoError(t, ws.Write(t.Context(), websocket.MessageText, []byte(payload)))
	}
	say := func(payload string) message {
		write(payload)
		_, b, err := ws.Read(t.Context())
		require.NoError(t, err)
		return parse(t, string(b))[0]
	}
	id = say(`[{"channel":"/meta/handshake","id":"1"}]`)["clientId"].(string)
	say(`[{"channel":"/meta/subscribe","id":"2","clientId":"` + id + `","subscription":"` + channel + `"}]`)
	say(`[{"channel":"/meta/connect","id":"3","clientId":"` + id + `"}]`)
	write(`[{"channel":"/meta/connect","id":"4","clientId":"` + id + `"}]`)
	return id
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
