package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/fuzzing"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

// A rawConn gives the server some payloads of any bytes, then waits.
type rawConn struct {
	peer   *transport.Peer
	in     chan []byte
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	out    [][]byte
	closed bool // by the server
}

func newRawConn(once bool) *rawConn {
	c := &rawConn{peer: &transport.Peer{Type: bayeux.WebSocket, Once: once}, in: make(chan []byte, 10)}
	if once {
		c.peer.Type = bayeux.LongPolling
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

func (c *rawConn) Receive() (io.Reader, error) {
	select {
	case b := <-c.in:
		return bytes.NewReader(b), nil
	case <-c.ctx.Done():
		return nil, io.EOF
	}
}

func (c *rawConn) Send(p *transport.Payload) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return transport.ErrClosed
	}
	c.out = append(c.out, p.AppendTo(nil))
	if c.peer.Once {
		c.cancel()
	}
	return nil
}

func (c *rawConn) Close(transport.Reason) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	return nil
}

func (c *rawConn) Peer() *transport.Peer    { return c.peer }
func (c *rawConn) Context() context.Context { return c.ctx }

// exchange serves one payload and returns the answer.
func exchangeRaw(srv *server.Server, payload []byte) *rawConn {
	c := newRawConn(true)
	c.in <- payload
	go srv.ServeConn(c)
	synctest.Wait()
	return c
}

// Whatever a peer sends, on a socket or by polling, the server does not panic,
// answers or closes every poll, sends nothing but arrays of messages, and keeps
// no session that cannot expire and no byte that cannot leave.
func FuzzReceive(f *testing.F) {
	files, _ := filepath.Glob("testdata/traces/*.txt")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if i := strings.IndexAny(line, "[{"); i >= 0 && line[0] != '<' && line[0] != '#' {
				f.Add([]byte(strings.TrimSpace(line[i:])))
			}
		}
	}
	for _, x := range illegal {
		f.Add([]byte(x.payload))
	}
	f.Add([]byte(`[{"channel":"/meta/connect","id":"1","clientId":"$"},{"channel":"/meta/connect","id":"2","clientId":"$"},{"channel":"/meta/disconnect","clientId":"$"},{"channel":"/a","clientId":"$"}]`))
	f.Add([]byte(`[{"channel":"/service/panic","clientId":"$","data":1},{"channel":"/a","clientId":"$","ext":{"x":null},"data":"<script>"}]`))
	f.Add([]byte(`[{"channel":"/meta/connect","clientId":"$","advice":{"timeout":-1,"interval":1e300,"reconnect":5}}]`))
	f.Add([]byte(`[{"channel":"/a","clientId":"$","data":1},{"channel":"/meta/handshake"},{"channel":"/meta/handshake"}]`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		fuzzing.Watch(t)
		synctest.Test(t, func(t *testing.T) { receiveRaw(t, payload) })
	})
}

func receiveRaw(t *testing.T, payload []byte) {
	srv, err := server.New(server.WithLogger(fuzzing.Log(t, "service")), server.WithTiming(server.Timing{Sweep: time.Minute}), server.WithChannel("/lazy", server.ChannelOptions{Lazy: -1, SendLast: true}))
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	srv.Filter("/**", server.NoMarkup())
	srv.HandleService("/service/panic", func(context.Context, *server.Session, *bayeux.Message) (any, error) { panic("service") })

	hello := exchangeRaw(srv, []byte(`[{"channel":"/meta/handshake"}]`))
	id := parse(t, string(hello.out[0]))[0]["clientId"].(string)
	exchangeRaw(srv, []byte(`[{"channel":"/meta/subscribe","clientId":"`+id+`","subscription":"/**"}]`))
	payload = bytes.ReplaceAll(payload, []byte(`"$"`), []byte(`"`+id+`"`))

	poll := exchangeRaw(srv, payload)
	socket := newRawConn(false)
	for range 2 {
		socket.in <- payload
	}
	go srv.ServeConn(socket)
	synctest.Wait()
	srv.Publish(t.Context(), "/a", 1)
	time.Sleep(21 * time.Second) // the longest hold
	synctest.Wait()

	poll.mu.Lock()
	if len(poll.out) != 1 && !poll.closed {
		t.Errorf("the poll was not answered")
	}
	poll.mu.Unlock()
	socket.Close(transport.Normal)
	time.Sleep(2 * time.Hour) // the longest interval, and more
	synctest.Wait()
	for _, p := range append(poll.out, socket.out...) {
		var ms []map[string]any
		if err := json.Unmarshal(p, &ms); err != nil {
			t.Errorf("sent %q: %v", p, err)
		}
	}
	if s := srv.Stats(); s.Sessions != 0 || s.QueuedBytes != 0 || s.Held != 0 || s.Conns != 0 {
		t.Errorf("left behind: %+v", s)
	}
}
