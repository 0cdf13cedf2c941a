package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
)

// What a publisher sends, a subscriber of its channel is sent, in order, and
// one of another channel is not.
func TestHubDelivers(t *testing.T) {
	for _, lib := range []string{"raw", "coder"} {
		for _, opt := range []string{"", "queue", "qarray"} {
			for _, secure := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/tls=%t", lib, opt, secure), func(t *testing.T) { delivers(t, lib, opt, secure) })
			}
		}
	}
}

func delivers(t *testing.T, lib, opt string, secure bool) {
	ln, err := listen("127.0.0.1:0", secure)
	require.NoError(t, err)
	defer ln.Close()
	h := newHub(opt)
	go h.serve(ln, lib)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	const messages = 1000
	here, there := dial(ctx, t, ln, "sub", 1, secure), dial(ctx, t, ln, "sub", 2, secure)
	require.Eventually(t, func() bool { return h.listeners("1") == 1 && h.listeners("2") == 1 }, 10*time.Second, time.Millisecond)
	for _, ch := range []int{1, 2} {
		pub := dial(ctx, t, ln, "pub", ch, secure)
		go func() {
			for i := range messages {
				_ = pub.Write(ctx, websocket.MessageText, fmt.Appendf(nil, "[%d]", ch*messages+i))
			}
		}()
	}
	for ch, sub := range map[int]*websocket.Conn{1: here, 2: there} {
		for i := 0; i < messages; {
			_, payload, err := sub.Read(ctx)
			require.NoError(t, err)
			for text := range strings.SplitSeq(strings.Trim(string(payload), "[]"), ",") {
				require.Equal(t, fmt.Sprint(ch*messages+i), text)
				i++
			}
		}
	}
}

// listeners is how many subscribers a channel has.
func (h *hub) listeners(name string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := h.channels[name]
	if ch == nil {
		return 0
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return len(ch.subs)
}

func dial(ctx context.Context, t *testing.T, ln net.Listener, role string, ch int, secure bool) *websocket.Conn {
	scheme := "ws"
	if secure {
		scheme = "wss"
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	c, _, err := websocket.Dial(ctx, fmt.Sprintf("%s://%s/?role=%s&ch=%d", scheme, ln.Addr(), role, ch), &websocket.DialOptions{HTTPClient: web})
	require.NoError(t, err)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// A client of this module gets a blast's events in order, and their numbers begin
// again after the last.
func TestABlastIsInOrder(t *testing.T) {
	ln, err := listen("127.0.0.1:0", false)
	require.NoError(t, err)
	defer ln.Close()
	h := newHub("")
	h.blast = 4
	go h.serve(ln, "raw")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := cometd.Dial(ctx, "ws://"+ln.Addr().String()+"/")
	require.NoError(t, err)
	defer c.Close()
	sub, err := c.Subscribe(ctx, "/bench/0")
	require.NoError(t, err)
	i := 0
	const all = 4 * blastFrames
	for m := range sub.Messages(ctx) {
		require.Len(t, m.Data, 128)
		require.Contains(t, string(m.Data), fmt.Sprintf(`{"n":"%010d","of":"%010d","text":"x`, i%all, all))
		if i++; i > 3*all {
			break
		}
	}
	assert.NoError(t, ctx.Err())
}

func TestFramesOfEverySizeAreBuilt(t *testing.T) {
	for size, head := range map[int]int{0: 2, 125: 2, 126: 4, 65535: 4, 65536: 10} {
		assert.Len(t, appendFrame(nil, make([]byte, size)), head+size)
	}
}
