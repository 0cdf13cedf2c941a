package hostile_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/server"
)

// A raw peer says what it likes.
type raw struct {
	net.Conn
	x  *target
	in *bufio.Reader
}

// dial opens a connection that ends with the test at the latest.
func (x *target) dial() *raw {
	x.t.Helper()
	c, err := x.connect(x.t.Context(), "tcp", x.addr)
	require.NoError(x.t, err)
	x.peers = append(x.peers, c)
	return &raw{c, x, bufio.NewReader(c)}
}

func (x *target) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{LocalAddr: x.from}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	return x.tally.watch(c), nil
}

// say writes, and does not mind a server that has closed already.
func (r *raw) say(format string, args ...any) bool {
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	_, err := io.WriteString(r, text)
	return err == nil
}

// answer reads one HTTP answer; 0 if the connection was closed without one.
func (r *raw) answer() (status int, header http.Header, body string) {
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil {
		return 0, nil, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	r.x.tally.heard(1, resp.StatusCode >= 400)
	return resp.StatusCode, resp.Header, string(b)
}

// exchange posts a body on a connection of its own.
func (x *target) exchange(body string, header ...string) (status int, h http.Header, text string) {
	x.t.Helper()
	r := x.dial()
	defer r.Close()
	r.say("%s", x.post(body, append(header, "Connection: close")...))
	return r.answer()
}

// post is a request on a connection that is kept, unless the header says otherwise.
func (x *target) post(body string, header ...string) string {
	return fmt.Sprintf("POST /cometd HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n%s", x.addr, len(body), lines(header), body)
}

func lines(header []string) string {
	var b strings.Builder
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	return b.String()
}

// ask posts messages and gives the replies.
func (x *target) ask(body string, header ...string) []reply {
	x.t.Helper()
	status, _, text := x.exchange(body, header...)
	require.Equal(x.t, http.StatusOK, status, text)
	return replies(x, text)
}

type reply struct {
	Channel, ID, ClientID, Error string
	Successful                   bool
	Data                         json.RawMessage
	Advice                       struct {
		Reconnect string
		Interval  int
	}
}

// replies reads a payload of the server's. None of them may say that it has
// failed.
func replies(x *target, text string) (all []reply) {
	x.t.Helper()
	require.NoError(x.t, json.Unmarshal([]byte(text), &all), "%q", text)
	for _, r := range all {
		x.tally.heard(1, r.Error != "")
		assert.False(x.t, strings.HasPrefix(r.Error, "500"), "the server has failed: %.300s", text)
	}
	return all
}

const handshake = `[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["websocket","long-polling"]}]`

// upgrade is a request for a WebSocket.
func (x *target) upgrade(header ...string) string {
	return fmt.Sprintf("GET /cometd HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n", x.addr, lines(header))
}

// A socket is a peer over WebSocket that knows its frames.
type socket struct {
	*raw
	cookie string // the one it was given with the 101
	id     string
}

// open opens a socket without a session.
func (x *target) open(header ...string) *socket {
	x.t.Helper()
	s := &socket{raw: x.dial()}
	s.say("%s", x.upgrade(header...))
	resp, err := http.ReadResponse(s.in, nil)
	require.NoError(x.t, err)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		x.tally.heard(1, true)
	}
	require.Equal(x.t, http.StatusSwitchingProtocols, resp.StatusCode)
	for _, c := range resp.Cookies() {
		s.cookie = "Cookie: " + c.Name + "=" + c.Value
	}
	return s
}

// joined opens a socket with a session that holds a connect, and so lasts as long
// as the socket, however long that is.
func (x *target) joined(header ...string) *socket {
	x.t.Helper()
	s := x.shaken(header...)
	require.True(x.t, s.asks(`[{"channel":"/meta/connect","id":"c1","clientId":"$"}]`, "c1").Successful)
	s.text(`[{"channel":"/meta/connect","id":"c2","clientId":"$"}]`)
	s.asks(`[{"channel":"/meta/unsubscribe","id":"c3","clientId":"$","subscription":"/nothing"}]`, "c3") // it is held now
	x.Session(s.id).SetTiming(server.Timing{MaxInterval: brief})                                         // once the socket has ended
	return s
}

// shaken opens a socket with a session.
func (x *target) shaken(header ...string) *socket {
	x.t.Helper()
	s := x.open(header...)
	s.text(handshake)
	s.id = s.expect()[0].ClientID
	require.NotEmpty(x.t, s.id)
	return s
}

// text sends one text message; $ stands for the clientId.
func (s *socket) text(json string) bool {
	return s.say("%s", Masked(Fin|Text, strings.ReplaceAll(json, "$", s.id)))
}

// expect reads the next text message.
func (s *socket) expect() []reply {
	s.x.t.Helper()
	for {
		f, err := Read(s.in)
		require.NoError(s.x.t, err)
		switch f.First {
		case Fin | Text:
			return replies(s.x, f.Payload)
		case Fin | Ping, Fin | Pong:
		default:
			s.x.tally.heard(1, true)
			s.x.t.Fatalf("frame %x %q", f.First, f.Payload)
		}
	}
}

// asks sends one message and reads until its reply.
func (s *socket) asks(json, id string) reply {
	s.x.t.Helper()
	s.text(json)
	for {
		for _, r := range s.expect() {
			if r.ID == id {
				return r
			}
		}
	}
}

// closing reads until the server's close frame and gives its code: 1006 if the
// connection ends without one.
func (s *socket) closing() (code int, text string) {
	for {
		f, err := Read(s.in)
		if err != nil {
			return 1006, err.Error()
		}
		if f.First == Fin|Close {
			s.x.tally.heard(1, true)
			return f.Code(), f.Payload[min(2, len(f.Payload)):]
		}
	}
}
