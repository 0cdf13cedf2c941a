package client

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The way back takes the session along, and loses and disorders nothing.
func TestTheWayBackToTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		stream.set(errNoUpgrade)
		c := start(t, dialers(stream, poll), WithUpgradeAfter(time.Minute))
		ctx := t.Context()
		sub, err := c.Subscribe(ctx, "/a")
		require.NoError(t, err)
		id := c.ID()
		time.Sleep(time.Minute)
		stream.set(nil)
		n := 0
		for ; c.Stats().Transport != bayeux.WebSocket && n < 1000; n++ {
			require.NoError(t, c.Publish(ctx, "/a", n))
			time.Sleep(time.Second)
		}
		for range 5 {
			require.NoError(t, c.Publish(ctx, "/a", n))
			n++
		}
		assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
		assert.NoError(t, c.Stats().Err)
		assert.Equal(t, id, c.ID())
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		for i, got := range take(ctx, sub, n) {
			require.Equal(t, fmt.Sprint(i), got)
		}
	})
}

// A way back that is still closed costs the session nothing, and is tried again
// when a transport that has failed may be.
func TestAWayBackThatIsClosedLeavesTheSessionAlone(t *testing.T) {
	for name, refusal := range map[string]error{"refused": errNoUpgrade, "unreachable": errRefused} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, stream, poll := pair()
				stream.set(errNoUpgrade)
				c := start(t, dialers(stream, poll), WithUpgradeAfter(time.Minute))
				ctx := t.Context()
				sub, err := c.Subscribe(ctx, "/a")
				require.NoError(t, err)
				stream.set(refusal)
				n := 0
				publish := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); n++ {
						require.NoError(t, c.Publish(ctx, "/a", n))
						time.Sleep(time.Second)
					}
				}
				publish(12 * time.Minute)
				assert.Equal(t, 3, stream.tries(), "in the beginning, and every 5 minutes")
				assert.ErrorIs(t, c.Stats().Err, errNoUpgrade, "the state says why")
				assert.Equal(t, bayeux.Connected, c.State())
				stream.set(nil)
				publish(5 * time.Minute)
				assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
				assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
				for i, got := range take(ctx, sub, n) {
					require.Equal(t, fmt.Sprint(i), got)
				}
			})
		})
	}
}

// A preferred transport that opens takes no publish while an exchange is under way.
func TestTheWayBackKeepsTheOrderOfPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		f.hold = time.Second
		stream.set(errNoUpgrade)
		var order []string
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == "/p" {
				if w.conn.Peer().Once && len(w.out) == 0 {
					time.Sleep(100 * time.Millisecond) // a slow answer
				}
				f.mu.Lock()
				order = append(order, string(m.Data))
				f.mu.Unlock()
			}
			return false
		}
		c := start(t, dialers(stream, poll), WithUpgradeAfter(time.Minute))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Minute)
		stream.set(nil)
		var want []string
		for i := 0; i < 100000 && c.Stats().Transport != bayeux.WebSocket; i++ {
			require.NoError(t, c.PublishFunc("/p", i, nil))
			want = append(want, fmt.Sprint(i))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
		f.mu.Lock()
		defer f.mu.Unlock()
		assert.True(t, slices.Equal(want, order), "%d published, %d arrived, in order: %v", len(want), len(order), slices.Equal(want[:min(len(want), len(order))], order))
	})
}

// A stream may open and then carry nothing. The session goes back to where it was.
func TestAWayBackThatCarriesNothingCostsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		stream.set(errNoUpgrade)
		f.first = func(w *wire, _ *bayeux.Message) bool { return !w.conn.Peer().Once }
		c := start(t, dialers(stream, poll), WithUpgradeAfter(time.Minute), WithPublishRetry(10, time.Second))
		ctx := t.Context()
		sub, err := c.Subscribe(ctx, "/a")
		require.NoError(t, err)
		stream.set(nil)
		n := 0
		for end := time.Now().Add(12 * time.Minute); time.Now().Before(end); n++ {
			require.NoError(t, c.Publish(ctx, "/a", n))
			time.Sleep(time.Second)
		}
		assert.Equal(t, 3, stream.tries(), "in the beginning, and every 5 minutes")
		assert.Equal(t, bayeux.LongPolling, c.Stats().Transport)
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		for i, got := range take(ctx, sub, n) {
			require.Equal(t, strconv.Itoa(i), got)
		}
	})
}

// What an exchange may still bring, and what takes its time, is not left behind for
// a better transport.
func TestTheWayBackWaitsForWhatIsUnderWay(t *testing.T) {
	for name, busy := range map[string]func(ctx context.Context, c *Client) error{
		"a call":  func(ctx context.Context, c *Client) error { _, err := c.Call(ctx, "/service/slow", 1); return err },
		"a reply": func(ctx context.Context, c *Client) error { return c.Publish(ctx, "/slow", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, stream, poll := pair()
				stream.set(errNoUpgrade)
				f.first = func(w *wire, m *bayeux.Message) bool {
					switch m.Channel {
					case "/slow":
						time.Sleep(8 * time.Second)
					case "/service/slow":
						time.AfterFunc(8*time.Second, func() {
							f.mu.Lock()
							defer f.mu.Unlock()
							s := f.sessions[m.ClientID]
							s.queue = append(s.queue, &bayeux.Message{Channel: m.Channel, ID: m.ID, Data: []byte("1"), Outcome: bayeux.Succeeded})
							select {
							case s.woken <- struct{}{}:
							default:
							}
						})
					}
					return false
				}
				c := start(t, dialers(stream, poll), WithUpgradeAfter(time.Minute), WithTimeouts(Timeouts{NetworkDelay: 30 * time.Second}))
				require.NoError(t, c.Wait(t.Context()))
				stream.set(nil)
				var all sync.WaitGroup
				end := time.Now().Add(12 * time.Minute)
				for i := range 3 { // at no moment is none under way
					all.Go(func() {
						time.Sleep(time.Duration(i) * 2500 * time.Millisecond)
						for time.Now().Before(end) {
							assert.NoError(t, busy(t.Context(), c))
						}
					})
				}
				time.Sleep(time.Until(end))
				assert.Equal(t, bayeux.LongPolling, c.Stats().Transport)
				all.Wait() // the way back may be taken in this moment
				time.Sleep(6 * time.Minute)
				assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
				assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
			})
		})
	}
}
