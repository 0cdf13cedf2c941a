package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// Faye opens its WebSocket, which brings it the cookie, then shakes hands by
// polling, and goes on with the socket.
func TestASocketThatBroughtTheCookieMayCarryTheSessionThatShowsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, bayeux.LongPolling)
		c := w.client()
		socket, err := memory.NewDialer(w.ServeConn).Dial(context.Background(), c.target)
		require.NoError(t, err)
		c.handshake()
		require.NoError(t, socket.Send(&transport.Payload{Messages: [][]byte{[]byte(`{"channel":"/meta/connect","id":"2","clientId":"` + c.id + `"}`)}}))
		r, err := socket.Receive()
		require.NoError(t, err)
		var ms []*bayeux.Message
		require.NoError(t, json.NewDecoder(r).Decode(&ms))
		assert.Equal(t, bayeux.Succeeded, ms[0].Outcome, ms[0].Error)
		socket.Close(transport.Normal)
		w.end()
	})
}

func TestIDsAndCookiesMayHaveTheFormOfAxumCometd(t *testing.T) {
	srv, err := server.New(server.WithTransports(longpoll.NewAcceptor()),
		server.WithSessionIDs(server.TimeID), server.WithBrowserIDs(server.TimeID))
	require.NoError(t, err)
	defer srv.Close()
	answer := httptest.NewRecorder()
	before := time.Now().Unix()
	srv.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/node/0/handshake", strings.NewReader(`[{"channel":"/meta/handshake","id":"1"}]`)))
	var ms []*bayeux.Message
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&ms))
	form := regexp.MustCompile(`^[0-9a-f]{40}$`)
	cookie := answer.Result().Cookies()[0].Value
	for _, id := range []string{ms[0].ClientID, cookie} {
		require.Regexp(t, form, id)
		born, err := strconv.ParseInt(id[:16], 16, 64)
		require.NoError(t, err)
		assert.InDelta(t, before, born, 5)
	}
	assert.NotEqual(t, cookie, ms[0].ClientID)
}

// onAll runs a test over every transport: in fake time and over real sockets,
// and over callback-polling.
func onAll(t *testing.T, f func(t *testing.T, w *world), opts ...server.Option) {
	everywhere(t, f, opts...)
	t.Run(bayeux.CallbackPolling, func(t *testing.T) { onCallback(t, f, opts...) })
}

// shows has c come back with its cookie, which its session had not seen yet.
func (c *wire) shows(t *testing.T) {
	t.Helper()
	if !c.w.polling() {
		c.cut()
	}
	require.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/meta/connect","id":"shows","clientId":"$","advice":{"timeout":0}}`).Outcome)
}

// A client that has not shown a cookie yet, over whatever it shook hands, is its
// id alone; with its first cookie all sockets are out that came so.
func TestASocketThatCameWithTheIDAloneIsOutOnceTheClientShowsItsCookie(t *testing.T) {
	onAll(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		require.NoError(t, w.Session(c.id).Subscribe("/a"))
		thief := stranger(t, w, c, bayeux.WebSocket)
		require.Equal(t, bayeux.Succeeded, thief.ask(`{"channel":"/meta/connect","id":"t1","clientId":"$","advice":{"timeout":0}}`).Outcome)
		thief.hold("t2")

		c.shows(t)
		require.ErrorContains(t, thief.broken(), "replaced")
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, "402::session_unknown", stranger(t, w, c, bayeux.WebSocket).ask(`{"channel":"/a","id":"t3","clientId":"$","data":2}`).Error)
		c.connect("c")
		assert.Equal(t, []string{"1"}, c.data(1))
		assert.Empty(t, thief.in)
	})
}

// The same of one whom the client has not to get rid of first, because it has
// its session back already.
func TestASocketThatHadTheSessionDoesNotGetItBackAfterTheClientShowsItsCookie(t *testing.T) {
	onAll(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		require.NoError(t, w.Session(c.id).Subscribe("/a"))
		thief := stranger(t, w, c, bayeux.WebSocket)
		require.Equal(t, bayeux.Succeeded, thief.ask(`{"channel":"/meta/connect","id":"t1","clientId":"$","advice":{"timeout":0}}`).Outcome)
		other := stranger(t, w, c, bayeux.WebSocket) // has it from the first
		require.Equal(t, bayeux.Succeeded, other.ask(`{"channel":"/meta/connect","id":"o1","clientId":"$","advice":{"timeout":0}}`).Outcome)

		c.shows(t)
		for _, m := range []string{
			`{"channel":"/meta/connect","id":"t2","clientId":"$"}`, `{"channel":"/a","id":"t3","clientId":"$","data":2}`,
			`{"channel":"/meta/unsubscribe","id":"t4","clientId":"$","subscription":"/a"}`, `{"channel":"/meta/disconnect","id":"t5","clientId":"$"}`,
		} {
			assert.Equal(t, "402::session_unknown", thief.ask(m).Error)
		}
		assert.Equal(t, bayeux.Succeeded, thief.handshakeAgain().Outcome, "it may have a session of its own")
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		c.connect("c")
		assert.Equal(t, []string{"1"}, c.data(1))
		assert.Empty(t, thief.passed)
	})
}

// Two tabs that a browser opens at once each get a cookie with their socket, and the
// browser keeps the last one: no socket of the other tab ever comes with its own again.
// A cookie binds nothing that it is not the cookie of, and over HTTP nothing goes
// without.
func TestASessionWhoseCookieWasNeverShownGoesOnOverASocketWithAnother(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		one, two := w.client(), w.clientOn(bayeux.WebSocket)
		one.conn()
		two.conn()
		one.handshake()
		require.NoError(t, w.Session(one.id).Subscribe("/a"))

		jar := two.target
		for i := range 2 {
			back := w.clientOn(bayeux.WebSocket)
			back.id, back.target = one.id, jar
			m := back.ask(`{"channel":"/meta/connect","id":"b1","clientId":"$","advice":{"timeout":0}}`)
			require.Equal(t, bayeux.Succeeded, m.Outcome, m.Error)
			require.NoError(t, w.Publish(t.Context(), "/a", i))
			assert.Equal(t, []string{fmt.Sprint(i)}, back.data(1))
		}
		poll := stranger(t, w, one, bayeux.LongPolling)
		poll.target = jar
		assert.Equal(t, "402::session_unknown", poll.ask(`{"channel":"/a","id":"p","clientId":"$","data":1}`).Error)

		one.shows(t)
		late := stranger(t, w, one, bayeux.WebSocket)
		late.target = jar
		assert.Equal(t, "402::session_unknown", late.ask(`{"channel":"/a","id":"l","clientId":"$","data":1}`).Error)
	})
}

// handshakeAgain shakes hands beside a session that c knows of.
func (c *wire) handshakeAgain() *bayeux.Message {
	return c.ask(`{"channel":"/meta/handshake","id":"again","version":"1.0","supportedConnectionTypes":["websocket"]}`)
}
