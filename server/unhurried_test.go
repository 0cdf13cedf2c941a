package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/gocometd/cometd/wsclient"
)

// An unhurried client has a session on a stream, and reads only when it is told to.
type unhurried struct {
	*server.Server
	t    *testing.T
	conn transport.Conn
	id   string
}

// withUnhurried runs a test in fake time, with a stream in memory and with a
// WebSocket, of which nothing leaves that is not read.
func withUnhurried(t *testing.T, f func(t *testing.T, c *unhurried)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, err := server.New()
			require.NoError(t, err)
			defer srv.Close()
			f(t, newUnhurried(t, srv, memory.NewDialer(srv.ServeConn), nil))
		})
	})
	t.Run("websocket", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, pipes := inMemory(t, 10*time.Second)
			f(t, newUnhurried(t, srv, wsclient.NewDialer(), func(context.Context, string, string) (net.Conn, error) { return pipes.Dial() }))
		})
	})
}

func newUnhurried(t *testing.T, srv *server.Server, d transport.Dialer, dial func(context.Context, string, string) (net.Conn, error)) *unhurried {
	web := &http.Client{Transport: &http.Transport{DialContext: dial}}
	conn, err := d.Dial(t.Context(), &transport.Target{URL: &url.URL{Scheme: "http", Host: "x", Path: "/"}, HTTP: web, Limit: 1 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(transport.Normal) })
	c := &unhurried{Server: srv, t: t, conn: conn}
	c.say(shakesHands)
	c.id = c.read()[0].ClientID
	c.say(`{"channel":"/meta/connect","id":"1","clientId":"$"}`)
	c.read()
	return c
}

func (c *unhurried) say(message string) {
	c.t.Helper()
	require.NoError(c.t, c.conn.Send(rawPayload("["+strings.ReplaceAll(message, "$", c.id)+"]")))
	synctest.Wait()
}

// read takes one frame.
func (c *unhurried) read() (ms []*bayeux.Message) {
	c.t.Helper()
	r, err := c.conn.Receive()
	require.NoError(c.t, err)
	require.NoError(c.t, json.NewDecoder(r).Decode(&ms))
	return ms
}

// A client that is kicked has its time to read, which no limit for sockets without a
// session ends.
func TestAKickedClientThatReadsSlowlyGetsAllThatWasQueuedAndTheKick(t *testing.T) {
	for name, held := range map[string]bool{"with a connect": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			withUnhurried(t, func(t *testing.T, c *unhurried) {
				const events = 20
				if held {
					c.say(`{"channel":"/meta/connect","id":"2","clientId":"$"}`)
				}
				s := c.Session(c.id)
				for i := range events {
					require.NoError(t, s.Send("/a", fmt.Sprint(i, strings.Repeat("x", 40_000))))
				}
				s.Kick("enough")
				var got []*bayeux.Message
				for len(got) == 0 || got[len(got)-1].Channel != bayeux.MetaDisconnect && got[len(got)-1].Channel != bayeux.MetaConnect {
					time.Sleep(4 * time.Second)
					got = append(got, c.read()...)
				}
				require.GreaterOrEqual(t, len(got), events+1)
				for i, m := range got[:events] {
					assert.Truef(t, strings.HasPrefix(string(m.Data), fmt.Sprintf(`"%dx`, i)), "%d: %.20s", i, m.Data)
				}
				assert.Equal(t, bayeux.MetaDisconnect, got[events].Channel)
				if held {
					assert.Len(t, got, events+2, "its connect is answered")
				}
				assert.Zero(t, c.Stats().Dropped)
			})
		})
	}
}

// What it asks after that is no reason to keep its socket.
func TestAKickedClientThatGoesOnAskingDoesNotKeepItsSocket(t *testing.T) {
	withUnhurried(t, func(t *testing.T, c *unhurried) {
		c.Session(c.id).Kick("enough")
		c.read()
		begin := time.Now()
		for range 100 {
			for range 2 {
				if c.conn.Send(rawPayload(`[{"channel":"/a","id":"1","clientId":"`+c.id+`","data":1}]`)) != nil {
					break
				}
			}
			time.Sleep(time.Second)
			if _, err := c.conn.Receive(); err != nil {
				break
			}
		}
		assert.Less(t, time.Since(begin), 40*time.Second, "what had left before its end is still read")
	})
}

// Shutdown waits for what was there when it began, and not for what one peer asks
// meanwhile, who takes little at a time and never ends.
func TestShutdownDoesNotWaitForAPeerThatGoesOnAsking(t *testing.T) {
	for name, asks := range map[string][]string{
		"publishes": {`{"channel":"/a","id":"1","clientId":"$","data":1}`},
		"connects":  {`{"channel":"/a","id":"1","clientId":"$","data":1}`, `{"channel":"/meta/connect","id":"2","clientId":"$","advice":{"timeout":0}}`},
	} {
		t.Run(name, func(t *testing.T) {
			withUnhurried(t, func(t *testing.T, c *unhurried) {
				var both sync.WaitGroup
				both.Go(func() {
					for i := 0; c.conn.Send(rawPayload("["+strings.ReplaceAll(asks[i%len(asks)], "$", c.id)+"]")) == nil; i++ {
					}
				})
				synctest.Wait() // until the server reads no more before its answers are read
				queued := c.Stats().QueuedBytes
				require.Positive(t, queued)
				var read atomic.Int64
				both.Go(func() {
					for n := int64(0); ; {
						r, err := c.conn.Receive()
						if err != nil {
							return
						}
						took, _ := io.Copy(io.Discard, r)
						read.Add(took)
						if n += took; n > 16<<10 {
							time.Sleep(5 * time.Second)
							n = 0
						}
					}
				})
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				require.NoError(t, c.Shutdown(ctx))
				assert.Less(t, time.Since(begin), 2*time.Minute)
				both.Wait()
				assert.GreaterOrEqual(t, read.Load(), int64(queued), "what it had asked before is answered")
			})
		})
	}
}
