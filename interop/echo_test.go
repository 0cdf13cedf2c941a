//go:build interop

package interop

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

// The two ends of the WebSocket without sessions: they send back what they get,
// as the one message of a payload, which is what puts it in brackets.

// echoLimit is the size of the suite's largest message.
const echoLimit = 16 << 20

// meetServer lets the suite be the client of our server.
func meetServer(t *testing.T) []finding {
	a := wsserver.NewAcceptor(wsserver.WithCompression(1))
	var serving sync.WaitGroup
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.True(t, a.Match(r))
		serving.Add(1)
		a.Serve(w, r, &transport.Accept{Limit: echoLimit, Stall: time.Minute}, func(c transport.Conn) {
			defer serving.Done()
			echo(c)
		})
	}))
	t.Cleanup(serving.Wait)
	t.Cleanup(web.Close)
	return startSuite(t, "client", strings.Replace(web.URL, "http:", "ws:", 1)).findings(t)
}

// meetClient lets the suite be the server of our client, which asks for one
// case after the other.
func meetClient(t *testing.T) []finding {
	s := startSuite(t, "server")
	var at struct{ Port int }
	require.NoError(t, s.said.Decode(&at))
	suite := &url.URL{Scheme: "ws", Host: "127.0.0.1:" + strconv.Itoa(at.Port)}
	c, err := dialSuite(t, suite, "getCaseCount", nil)
	require.NoError(t, err)
	r, err := c.Receive()
	require.NoError(t, err)
	said, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, c.Close(transport.Normal))
	cases, err := strconv.Atoi(string(said))
	require.NoError(t, err)

	var g errgroup.Group
	g.SetLimit(8)
	for n := range cases {
		g.Go(func() error {
			c, err := dialSuite(t, suite, "runCase", url.Values{"case": {strconv.Itoa(n + 1)}})
			if err == nil {
				echo(c)
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	c, err = dialSuite(t, suite, "updateReports", nil) // there will be no more
	require.NoError(t, err)
	require.NoError(t, c.Close(transport.Normal))
	found := s.findings(t)
	assert.Len(t, found, cases)
	return found
}

func dialSuite(t *testing.T, suite *url.URL, path string, query url.Values) (transport.Conn, error) {
	u := suite.JoinPath(path)
	u.RawQuery = query.Encode()
	return wsclient.NewDialer(wsclient.WithCompression(1)).Dial(t.Context(), &transport.Target{URL: u, Limit: echoLimit})
}

func echo(c transport.Conn) {
	defer c.Close(transport.Normal)
	for {
		r, err := c.Receive()
		if err != nil {
			return
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return
		}
		if c.Send(&transport.Payload{Messages: [][]byte{b}}) != nil {
			return
		}
	}
}
