//go:build !js

package wsserver_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

// Both ends are ours. An implementation that is not, at the other end, keeps
// them from being wrong in the same way.
var libraryModes = map[string]websocket.CompressionMode{
	"plain":            websocket.CompressionDisabled,
	"each alone":       websocket.CompressionNoContextTakeover,
	"with the context": websocket.CompressionContextTakeover,
}

// lengths are around all that frames, buffers and windows change at.
var lengths = []int{0, 1, 125, 126, 1000, 4095, 4097, 16 << 10, 32<<10 + 1, 65535, 65536, 300_000}

// noise is text that compresses, but not to nothing.
func noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + rand.IntN(4))
	}
	return string(b)
}

func TestAForeignClientAndOurServer(t *testing.T) {
	h := newHost(t, wsserver.NewAcceptor(wsserver.WithCompression(100)), false, transport.Accept{Limit: 1 << 20, Stall: patience}, echo)
	for name, mode := range libraryModes {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c, _, err := websocket.Dial(ctx, h.URL, &websocket.DialOptions{CompressionMode: mode, CompressionThreshold: 1})
			require.NoError(t, err)
			defer c.CloseNow()
			c.SetReadLimit(-1)
			for _, n := range lengths {
				text := noise(n)
				require.NoError(t, c.Write(ctx, websocket.MessageText, []byte(text)))
				kind, got, err := c.Read(ctx)
				require.NoError(t, err)
				assert.Equal(t, websocket.MessageText, kind)
				require.Equal(t, "["+text+"]", string(got))
			}
			w, err := c.Writer(ctx, websocket.MessageText)
			require.NoError(t, err)
			for range 50 {
				io.WriteString(w, noise(3000)) // a fragment
			}
			require.NoError(t, w.Close())
			_, got, err := c.Read(ctx)
			require.NoError(t, err)
			assert.Len(t, got, 150_002)
			require.NoError(t, c.CloseRead(ctx).Err())
			assert.NoError(t, c.Ping(ctx))
			assert.NoError(t, c.Close(websocket.StatusNormalClosure, "bye"), "it waits for the answer")
		})
	}
}

func TestAForeignServerAndOurClient(t *testing.T) {
	for name, mode := range libraryModes {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: mode, CompressionThreshold: 1})
				if err != nil {
					ended <- err
					return
				}
				c.SetReadLimit(-1)
				for {
					kind, b, err := c.Read(r.Context())
					if err != nil {
						ended <- err
						return
					}
					if err := c.Write(r.Context(), kind, b); err != nil {
						ended <- err
						return
					}
				}
			}))
			defer s.Close()
			u, err := url.Parse(s.URL)
			require.NoError(t, err)
			c, err := wsclient.NewDialer(wsclient.WithCompression(100)).Dial(t.Context(), &transport.Target{URL: u, HTTP: s.Client(), Limit: 1 << 20})
			require.NoError(t, err)
			for _, n := range lengths {
				text := noise(n)
				require.NoError(t, c.Send(&transport.Payload{Messages: [][]byte{[]byte(text)}}))
				r, err := c.Receive()
				require.NoError(t, err)
				var got strings.Builder
				_, err = io.Copy(&got, r)
				require.NoError(t, err)
				require.Equal(t, "["+text+"]", got.String())
			}
			c.Close(transport.GoingAway)
			assert.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(<-ended))
		})
	}
}
