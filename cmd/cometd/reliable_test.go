package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/ext/once/onceserver"
	"github.com/gocometd/cometd/internal/fault"
	"github.com/gocometd/cometd/server"
)

// What passes through the proxy, and after how many messages it is cut.
const messages, cutEvery = 700, 200

// proxied serves ack and once behind a proxy.
func proxied(t *testing.T) (*server.Server, *fault.Proxy) {
	srv, err := cometd.NewServer(server.WithExtension(ackserver.New(ackserver.WithGrace(time.Minute)), onceserver.New()))
	require.NoError(t, err)
	web := httptest.NewServer(srv)
	t.Cleanup(web.Close)
	t.Cleanup(func() { srv.Close() })
	proxy, err := fault.NewProxy(web.Listener.Addr().String(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { proxy.Close() })
	return srv, proxy
}

func through(proxy *fault.Proxy, transport string) connection {
	return connection{Transport: transport, Wait: patience, URL: proxy.URL()}
}

// together is a buffer that several goroutines write to, as they do to a file.
type together struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *together) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(text)
}

// cometd sub misses nothing and prints nothing twice, though its connections
// break.
func TestSubMissesNothing(t *testing.T) {
	for _, transport := range []string{"websocket", "long-polling"} {
		t.Run(transport, func(t *testing.T) {
			srv, proxy := proxied(t)
			sub := subCmd{connection: through(proxy, transport), Count: messages, Channel: []string{"/a"}}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			events := srv.Events(ctx)
			var out bytes.Buffer
			var said together
			var run sync.WaitGroup
			run.Go(func() { assert.NoError(t, sub.Run(ctx, console{out: &out, err: &said})) })
			for event := range events {
				if _, ok := event.(server.Subscribed); ok {
					break
				}
			}
			for i := range messages {
				require.NoError(t, srv.Publish(ctx, "/a", fmt.Sprint("number ", i)))
				if i%cutEvery == cutEvery-1 {
					proxy.Cut()
				}
			}
			run.Wait()
			assert.NotContains(t, said.buffer.String(), "missing")
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			require.Len(t, lines, messages)
			for i, text := range lines {
				require.Contains(t, text, fmt.Sprintf(`"number %d"`, i))
			}
		})
	}
}

// What cometd pub sends again is taken once, and nothing is left out.
func TestPubWithAttemptsIsTakenOnce(t *testing.T) {
	for _, transport := range []string{"websocket", "long-polling"} {
		t.Run(transport, func(t *testing.T) {
			srv, proxy := proxied(t)
			var taken [messages]atomic.Int32
			srv.Handle("/a", func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
				var i int
				err := m.Decode(&i)
				if taken[i].Add(1) == 1 && i%cutEvery == cutEvery-1 {
					proxy.Cut() // before the answer
				}
				return err
			})
			var in strings.Builder
			for i := range messages {
				fmt.Fprintln(&in, i)
			}
			pub := pubCmd{connection: through(proxy, transport), Attempts: 10, Channel: "/a", JSON: "-"}
			require.NoError(t, pub.Run(t.Context(), console{in: strings.NewReader(in.String()), out: io.Discard, err: io.Discard}))
			for i := range taken {
				assert.EqualValues(t, 1, taken[i].Load(), i)
			}
		})
	}
}
