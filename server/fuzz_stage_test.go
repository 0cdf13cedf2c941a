package server_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/ext/activity"
	"github.com/gocometd/cometd/ext/binary/binaryserver"
	"github.com/gocometd/cometd/ext/once/onceserver"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/ext/timestamp/timestampserver"
	"github.com/gocometd/cometd/ext/timesync/timesyncserver"
	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/internal/webtest"
	"github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/wsserver"
)

// A stage is a server with all transports and all extensions behind net/http, in
// memory and in a bubble, and a client that has nothing to do with what is said
// to it. The sessions after that client's are s1, s2 and so on, with the cookies
// b1, b2, so that what is fuzzed can name them.
type stage struct {
	*server.Server
	t       *testing.T
	door    *webtest.Pipes
	witness *rawConn
	secret  string // nobody else knows it
}

// replaced is no status that anything else has.
const replaced = http.StatusConflict

func newStage(t *testing.T) *stage {
	s := &stage{t: t, door: webtest.NewPipes(), witness: newRawConn(false), secret: rand.Text()}
	sessions, browsers := 0, 0
	history, err := replayserver.New(replayserver.NewMemory(replayserver.Rule{Pattern: "/history/**", Messages: 10}), replayserver.WithLast("/history/last", 2))
	require.NoError(t, err)
	s.Server, err = server.New(
		server.WithLogger(fuzzing.Log(t, nil)),
		server.WithTransports(wsserver.NewAcceptor(wsserver.WithCompression(50), wsserver.WithSubprotocols("bayeux")),
			longpoll.NewAcceptor(longpoll.WithForm(true), longpoll.WithReplacedStatus(replaced), longpoll.WithGzip(200)), longpoll.NewCallbackAcceptor()),
		server.WithOrigins("https://*.good.example"),
		server.WithTiming(server.Timing{Sweep: 5 * time.Minute}),
		server.WithChannel("/lazy/**", server.ChannelOptions{Lazy: -1, SendLast: true}),
		history,
		server.WithExtension(ackserver.New(ackserver.WithGrace(time.Minute), ackserver.WithMessages(3)), onceserver.New(), timesyncserver.New(-1),
			timestampserver.New(), binaryserver.New("/binary/**"), activity.Server(activity.ClientAndServer, 15*time.Minute)),
		server.WithSessionIDs(func() string {
			if sessions++; sessions == 1 {
				return s.secret
			}
			return fmt.Sprint("s", sessions-1)
		}),
		server.WithBrowserIDs(func() string { browsers++; return fmt.Sprint("b", browsers) }),
	)
	require.NoError(t, err)
	go s.ServeConn(s.witness)
	for _, m := range []string{`{"channel":"/meta/handshake"}`, `{"channel":"/meta/subscribe","clientId":"$","subscription":"/**"}`,
		`{"channel":"/meta/connect","clientId":"$"}`, `{"channel":"/meta/connect","clientId":"$"}`} {
		s.witness.in <- []byte("[" + strings.ReplaceAll(m, "$", s.secret) + "]")
		synctest.Wait()
	}
	return s
}

// perform says parts over a connection, one after the other when all is quiet
// after the one before, and then nothing more. It returns what came back until
// the server has ended the connection, which it must; by then nobody else has
// suffered, and nothing is left.
func perform(t *testing.T, judge func(t *testing.T, answer *bufio.Reader), parts ...string) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		web := &http.Server{Handler: s, ConnState: s.ConnState, ErrorLog: fuzzing.ErrorLog(), // and the times of SECURITY.md
			ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second}
		go web.Serve(s.door)
		c, err := s.door.Dial()
		require.NoError(t, err)
		var heard bytes.Buffer
		ended := make(chan struct{})
		go func() { io.Copy(&heard, c); close(ended) }()
		for _, p := range parts {
			go io.WriteString(c, p) // the server may have ended before it has read all
			synctest.Wait()
		}
		s.askWitness()
		time.Sleep(3 * time.Hour) // the longest interval, and more
		synctest.Wait()
		select {
		case <-ended:
			judge(t, bufio.NewReader(&heard))
		default:
			t.Error("the server has not ended the connection of who says nothing")
		}
		if s := s.Stats(); s.Sessions != 0 || s.QueuedBytes != 0 || s.Held != 0 || s.Conns != 0 {
			t.Errorf("left behind: %+v", s)
		}
		c.Close()
		s.witness.Close(0)
		s.Close()
		web.Close()
	})
}

// askWitness has the client that has done nothing get what is published, in
// order and once.
func (s *stage) askWitness() {
	var want, got []string
	for i := range 3 {
		want = append(want, fmt.Sprint(s.secret, i))
		require.NoError(s.t, s.Publish(s.t.Context(), "/history/last", want[i]))
	}
	synctest.Wait()
	s.witness.mu.Lock()
	defer s.witness.mu.Unlock()
	for _, p := range s.witness.out {
		var ms []struct {
			Data struct {
				Inner any `json:"replay.data"`
			}
		}
		_ = json.Unmarshal(p, &ms) // it reads on after data that is no such object
		for _, m := range ms {
			if text, ok := m.Data.Inner.(string); ok && strings.HasPrefix(text, s.secret) {
				got = append(got, text)
			}
		}
	}
	assert.Equal(s.t, want, got, "another session's messages")
}

// masked is a frame of a client's with a mask of zeros: what it carries can be
// read in the corpus, and changed by who fuzzes.
func masked(first byte, payload string) string {
	head := wiretest.MaskedHead(first, len(payload))
	return head[:len(head)-4] + "\x00\x00\x00\x00" + payload
}

// judgeFrames checks what a server said on a WebSocket, until its end.
func judgeFrames(t *testing.T, in *bufio.Reader) (texts []string) {
	closed := false
	for {
		f, err := wiretest.Read(in)
		if err == io.EOF {
			break
		}
		require.NoError(t, err, "a frame is cut off")
		require.False(t, closed, "%#x %q after the close frame", f.First, f.Payload)
		require.False(t, f.Masked)
		text := f.Payload
		switch f.First {
		case wiretest.Fin | wiretest.Close:
			closed = true
			continue
		case wiretest.Fin | wiretest.Pong:
			continue
		case wiretest.Fin | wiretest.RSV1 | wiretest.Text:
			text, err = wiretest.Inflate(text)
			require.NoError(t, err)
		case wiretest.Fin | wiretest.Text:
		default:
			t.Fatalf("frame %#x %q", f.First, f.Payload)
		}
		judgeMessages(t, []byte(text))
		texts = append(texts, text)
	}
	assert.True(t, closed, "the server says why it ends a socket")
	return texts
}

func judgeMessages(t *testing.T, text []byte) {
	var ms []map[string]any
	if err := json.Unmarshal(text, &ms); err != nil {
		t.Errorf("sent %q: %v", text, err)
	}
}
