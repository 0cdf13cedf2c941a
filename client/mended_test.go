package client

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// The server says for each message that it has no such session. They go to the
// next one in the order in which they were published.
func TestWhatIsRefusedWithItsSessionKeepsItsOrder(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			const n = 20
			c := start(t, dialers(d), WithPublishRetry(5, time.Second)) // the replies of a stream may be lost with it
			sub, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			f.forget()
			for i := range n {
				require.NoError(t, c.PublishFunc("/a", i, func(err error) { assert.NoError(t, err) }))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got := take(ctx, sub, n)
			require.Len(t, got, n)
			for i := range n {
				assert.Equal(t, strconv.Itoa(i), got[i])
			}
		})
	})
}

// Time passes between two messages of which no answer comes.
func TestWhatIsSentAgainAfterATimeKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var swallowed atomic.Int32
		f.first = func(_ *wire, m *bayeux.Message) bool { return m.Channel == "/a" && swallowed.Add(1) <= 3 }
		c := start(t, dialers(board(f, streams)), WithPublishRetry(5, 3*time.Second))
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		for i := range 3 {
			require.NoError(t, c.PublishFunc("/a", i, nil))
			time.Sleep(time.Second)
		}
		assert.Equal(t, []string{"0", "1", "2"}, take(t.Context(), sub, 3))
	})
}

// There is no answer to what was not sent.
func TestAMessageThatAnExtensionDeletesHoldsNothingUp(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			veto := errors.New("no")
			var connects atomic.Int32
			out := func(_ context.Context, m *bayeux.Message) error {
				if m.Channel == "/a" || m.Channel == bayeux.MetaConnect && connects.Add(1) == 3 {
					return veto
				}
				return nil
			}
			var gaps atomic.Int32
			c := start(t, dialers(d), WithExtension(Extension{Name: "veto", Outgoing: out}), WithHooks(Hooks{Gap: func(Gap) { gaps.Add(1) }}))
			_, err := c.Subscribe(t.Context(), "/b")
			require.NoError(t, err)
			began := time.Now()
			assert.ErrorIs(t, c.Publish(t.Context(), "/a", 1), veto)
			assert.NoError(t, c.Publish(t.Context(), "/b", 1))
			assert.Less(t, time.Since(began), time.Second)
			assert.Zero(t, gaps.Load())
			time.Sleep(f.hold + 5*time.Second)
			assert.GreaterOrEqual(t, f.count(bayeux.MetaConnect), 3, "it goes on connecting")
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		})
	})
}

// The server ends a session while its client pauses between two connects, and
// knows nothing of it when the next one comes.
func TestAKickBetweenTwoConnectsIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaConnect || f.count(bayeux.MetaConnect) > 1 {
				return false
			}
			w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded,
				Advice: &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(time.Minute)}})
			return true
		}
		c := start(t, dialers(board(f, streams)))
		_, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		time.Sleep(time.Second)
		f.kick(c.ID())
		<-c.Done()
		assert.ErrorIs(t, c.Err(), errKicked)
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}

// Who fetches what may have been missed needs to know since when.
func TestTheGapOfALostSessionBeginsWhereThatEnded(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.hold = time.Hour
			gaps := make(chan Gap, 10)
			c := start(t, dialers(d), WithHooks(Hooks{Gap: func(g Gap) { gaps <- g }}))
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			began := time.Now()
			time.Sleep(40 * time.Minute)
			f.expel()
			g := <-gaps
			assert.Equal(t, transport.Expired, g.Reason)
			assert.WithinDuration(t, began, g.From, time.Second)
			assert.GreaterOrEqual(t, g.To.Sub(g.From), 40*time.Minute)
		})
	})
}

// What another exchange brings while the client pauses tells nothing of the answer
// that has broken.
func TestTheGapOfABreakBeginsBeforeThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(_ *wire, m *bayeux.Message) bool {
			if m.Channel == "/slow" {
				time.Sleep(5*time.Second + 100*time.Millisecond)
			}
			return false
		}
		gaps := make(chan Gap, 10)
		c := start(t, dialers(board(f, polls)), WithHooks(Hooks{Gap: func(g Gap) { gaps <- g }}))
		_, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		require.NoError(t, c.PublishFunc("/slow", 1, func(err error) { assert.NoError(t, err) }))
		time.Sleep(5 * time.Second)
		broke := time.Now()
		f.someWire().conn.Close(transport.Internal)
		g := <-gaps
		assert.False(t, g.From.After(broke), "from %v after the break", g.From.Sub(broke))
		assert.GreaterOrEqual(t, g.To.Sub(broke), 500*time.Millisecond)
	})
}

// What comes without having been subscribed to is missed like all else.
func TestListenersAreToldGapsToo(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			gaps := make(chan Gap, 10)
			c := start(t, dialers(d), WithHooks(Hooks{Gap: func(g Gap) { gaps <- g }}))
			for _, ch := range []string{"/service/news", bayeux.MetaConnect, "/a"} {
				_, err := c.Listen(ch)
				require.NoError(t, err)
			}
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			time.Sleep(time.Minute)
			f.expel()
			time.Sleep(time.Minute)
			require.Len(t, gaps, 2, "meta messages are the client's own, and each channel's gap is told once")
			assert.Equal(t, "/a", (<-gaps).Channel)
			assert.Equal(t, "/service/news", (<-gaps).Channel)
		})
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
				all.Wait()
				assert.Equal(t, bayeux.LongPolling, c.Stats().Transport)
				time.Sleep(6 * time.Minute)
				assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
				assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
			})
		})
	}
}

// Each of these connections has worked for longer than a failure lasts.
func TestBreaksAfterALongTimeAreNotInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.hold = time.Minute
		d := board(f, streams)
		c := start(t, dialers(d), WithMaxRetries(2))
		require.NoError(t, c.Wait(t.Context()))
		for range 8 {
			time.Sleep(50 * time.Second)
			d.cut()
		}
		time.Sleep(5 * time.Second)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}

// What nobody takes out of a subscription that has ended is nobody's burden.
func TestAnEndedSubscriptionWeighsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, streams)))
		ended, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		for range 10 {
			f.publish("/a", "1")
		}
		synctest.Wait()
		require.NotZero(t, c.Stats().WaitingBytes)
		ended.fail(ErrLost, true)
		assert.Zero(t, c.Stats().WaitingBytes)
		assert.Len(t, take(t.Context(), ended, 10), 10, "it can still be read to its end")
		assert.Zero(t, c.Stats().WaitingBytes)
	})
}

// turnsAway dials exchanges that answer subscribes with 429, so many times.
type turnsAway struct {
	transport.Dialer
	left atomic.Int32
}

type turnsAwayConn struct {
	transport.Conn
	d *turnsAway
}

func (d *turnsAway) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	c, err := d.Dialer.Dial(ctx, t)
	return turnsAwayConn{c, d}, err
}

func (c turnsAwayConn) Send(p *transport.Payload) error {
	for _, m := range p.Messages {
		if bytes.Contains(m, []byte(bayeux.MetaSubscribe)) && c.d.left.Add(-1) >= 0 {
			return &transport.Error{Type: bayeux.LongPolling, Op: "receive", Status: http.StatusTooManyRequests, RetryAfter: 5 * time.Second}
		}
	}
	return c.Conn.Send(p)
}

// A proxy that has had enough of requests says so once, not for ever.
func TestSubscribingAgainIsRetriedWhenTheWholeRequestIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := &turnsAway{Dialer: memory.NewPollDialer(f.serve)}
		c := start(t, []transport.Dialer{d})
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		d.left.Store(3)
		f.forget()
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 1, f.subscribed("/a"))
		assert.NoError(t, sub.Err())
	})
}

type anyTripper struct{ http.RoundTripper }

func TestAProgramMayHaveATransportOfItsOwnAsTheDefault(t *testing.T) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = anyTripper{before}
	c, err := New(testURL, WithTransports(board(newFake(), streams)))
	require.NoError(t, err)
	assert.NoError(t, c.Close())
}
