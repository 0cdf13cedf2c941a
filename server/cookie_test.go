package server_test

import (
	"context"
	"encoding/json"
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
