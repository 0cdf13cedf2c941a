package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

// A lateAnswer is an acceptor whose answers leave when the requester's end of the
// connection has been seen, but for those to requesters who say that they close theirs.
type lateAnswer struct{ transport.Acceptor }

func (a lateAnswer) Serve(w http.ResponseWriter, r *http.Request, o *transport.Accept, serve func(transport.Conn)) {
	a.Acceptor.Serve(w, r, o, func(c transport.Conn) {
		if r.Header.Get("Connection") != "close" {
			c = lateConn{c}
		}
		serve(c)
	})
}

type lateConn struct{ transport.Conn }

func (c lateConn) Send(p *transport.Payload) error {
	select {
	case <-c.Context().Done():
	case <-time.After(10 * time.Second):
	}
	return c.Conn.Send(p)
}

// A halfClosing client says that it says no more with each of its requests, as
// "nc -N" does.
type halfClosing struct {
	t       *testing.T
	addr    string
	jsonp   bool
	listens bool // it does not say so
	cookie  string
	id      string
}

// ask returns the answer to some messages: its status, and its text.
func (c *halfClosing) ask(messages string) (status int, text string) {
	messages = strings.ReplaceAll(messages, "$", c.id)
	head := fmt.Sprintf("POST /cometd HTTP/1.1\r\nHost: h\r\nCookie: %s\r\nContent-Length: %d\r\n\r\n%s", c.cookie, len(messages), messages)
	if c.jsonp {
		head = fmt.Sprintf("GET /cometd?jsonp=f&message=%s HTTP/1.1\r\nHost: h\r\nCookie: %s\r\n\r\n", url.QueryEscape(messages), c.cookie)
	}
	if c.listens {
		head = strings.Replace(head, "Host: h", "Host: h\r\nConnection: close", 1)
	}
	conn, err := net.Dial("tcp", c.addr)
	require.NoError(c.t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, head)
	require.NoError(c.t, err)
	if !c.listens {
		require.NoError(c.t, conn.(*net.TCPConn).CloseWrite())
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(c.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	for _, cookie := range answer.Cookies() {
		c.cookie = cookie.Name + "=" + cookie.Value
	}
	if id := regexp.MustCompile(`"clientId":"(\w+)"`).FindStringSubmatch(string(body)); id != nil {
		c.id = id[1]
	}
	return answer.StatusCode, string(body)
}

// What was carried out is answered as that. What waits for the client leaves with no
// answer of which nobody knows whether it is read.
func TestARequestThatIsCarriedOutIsAnsweredThoughItsClientSaysNoMore(t *testing.T) {
	for _, typ := range []string{bayeux.LongPolling, bayeux.CallbackPolling} {
		t.Run(typ, func(t *testing.T) {
			w := newRealWorld(t, typ, server.WithTransports(lateAnswer{longpoll.NewAcceptor()}, lateAnswer{longpoll.NewCallbackAcceptor()}))
			defer w.end()
			c := &halfClosing{t: t, addr: w.http.Listener.Addr().String(), jsonp: typ == bayeux.CallbackPolling}
			for _, messages := range []string{
				`[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["long-polling"]}]`,
				`[{"channel":"/meta/connect","id":"2","clientId":"$","advice":{"timeout":0}}]`,
				`[{"channel":"/meta/subscribe","id":"3","clientId":"$","subscription":"/a"}]`,
				`[{"channel":"/b","id":"4","clientId":"$","data":1}]`,
			} {
				status, text := c.ask(messages)
				assert.Equal(t, 200, status, "%s: %s", messages, text)
				assert.Contains(t, text, `"successful":true`)
			}
			s := w.Session(c.id)
			require.NotNil(t, s)
			status, text := c.ask(`[{"channel":"/a","id":"5","clientId":"$","data":1}]`)
			assert.Equal(t, 200, status, text)
			assert.Contains(t, text, `"successful":true`)
			assert.NotContains(t, text, `"data"`)
			assert.Equal(t, 1, s.Outbox().Len(), "what it would have heard with that waits")
			for _, messages := range []string{
				`[{"channel":"/meta/connect","id":"6","clientId":"$"}]`,
				`[{"channel":"/b","id":"7","clientId":"$","data":1},{"channel":"/meta/connect","id":"8","clientId":"$"}]`,
			} {
				status, text := c.ask(messages)
				assert.Equal(t, 204, status, "%s: %s", messages, text)
				assert.Equal(t, 1, s.Outbox().Len(), "it waits")
			}
			s.Disconnect()
		})
	}
}

// A client that is told why its session has ended, and does not listen, is told again.
func TestAKickIsToldAgainToAClientThatSeemedGone(t *testing.T) {
	w := newRealWorld(t, bayeux.LongPolling, server.WithTransports(lateAnswer{longpoll.NewAcceptor()}))
	defer w.end()
	c := &halfClosing{t: t, addr: w.http.Listener.Addr().String()}
	status, text := c.ask(`[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["long-polling"]}]`)
	require.Equal(t, 200, status, text)
	w.Session(c.id).Kick("out")
	const connect = `[{"channel":"/meta/connect","id":"2","clientId":"$","advice":{"timeout":0}}]`
	status, text = c.ask(connect)
	assert.Equal(t, 204, status, text)
	c.listens = true
	status, text = c.ask(connect)
	assert.Equal(t, 200, status)
	assert.Contains(t, text, `"reconnect":"none"`)
}
