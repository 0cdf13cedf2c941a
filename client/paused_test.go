package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// burst has the fake send n events on ch in one payload: 0, 1, 2 and so on, each with
// more bytes beside it.
func burst(f *fake, ch string, n, more int) { burstOf(f, ch, slices.Repeat([]int{more}, n)...) }

// burstOf is burst with as many bytes more as it is told, each.
func burstOf(f *fake, ch string, more ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		var events []*bayeux.Message
		for i, n := range more {
			m := event(ch, fmt.Sprint(i))
			m.ID = strings.Repeat("x", n)
			events = append(events, m)
		}
		if w := s.wire; w != nil {
			go w.flush(events...)
			return
		}
		s.queue = append(s.queue, events...)
		s.woken <- struct{}{}
	}
}

// prefix is what a subscription of a burst may have handled: nothing is
// missing before the last one.
func prefix(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i)
	}
	return all
}

// slowly takes so long for each message that comes in.
func slowly(ch string, d time.Duration) Extension {
	return Extension{Name: "slowly", Incoming: func(_ context.Context, m *bayeux.Message) error {
		if m.Channel == ch {
			time.Sleep(d)
		}
		return nil
	}}
}

// A reader waits for room when the client ends: what it then gives up is the end of
// what the subscription gets, also if there is room again before all is over.
func TestWhatIsHandedOverOfAPausedQueueAtTheEndHasNoHole(t *testing.T) {
	for name, end := range map[string]func(c *Client) error{
		"drain": func(c *Client) error { return c.Drain(context.Background()) },
		"close": (*Client).Close,
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					f.first = func(_ *wire, m *bayeux.Message) bool {
						if m.Channel == bayeux.MetaDisconnect {
							time.Sleep(time.Second)
						}
						return false
					}
					c := start(t, dialers(d), WithExtension(slowly("/a", time.Millisecond)))
					var mu sync.Mutex
					var got []string
					sub, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
						mu.Lock()
						got = append(got, string(m.Data))
						mu.Unlock()
						time.Sleep(50 * time.Millisecond)
						return nil
					}, WithQueue(2, Pause))
					require.NoError(t, err)
					time.Sleep(time.Second)
					burst(f, "/a", 100, 0)
					time.Sleep(120 * time.Millisecond)
					require.True(t, c.flow.paused())
					assert.NoError(t, end(c))
					<-c.Done()
					assert.Equal(t, prefix(len(got)), got)
					if name == "drain" {
						assert.GreaterOrEqual(t, len(got), 5, "what waited in the queue is handed over")
					}
					assert.ErrorIs(t, sub.Err(), ErrClosed)
				})
			})
		})
	}
}

// Two exchanges have brought something: what is not handed over of the first ends
// the second, too.
func TestNothingIsHandedOverBehindAPayloadThatTheEndHasCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == "/p" {
				w.send(slices.Repeat([]*bayeux.Message{event("/a", `"behind"`)}, 200)...)
			}
			return false
		}
		c := start(t, dialers(board(f, polls)), WithExtension(slowly("/a", time.Second)), WithTimeouts(Timeouts{Close: time.Second}))
		var got []string
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		time.Sleep(time.Second)
		burst(f, "/a", 200, 0)
		synctest.Wait() // it is being handed over
		require.NoError(t, c.PublishFunc("/p", 1, func(error) {}))
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, c.Drain(ctx), context.DeadlineExceeded)
		for m := range sub.Messages(t.Context()) {
			got = append(got, string(m.Data))
		}
		assert.Equal(t, prefix(len(got)), got)
		<-c.Done()
	})
}

// pausedBySize starts a client whose reader waits, in the middle of a payload, for room
// among QueueBytes, and whose handler does what it waits for that needs a connection.
func pausedBySize(t *testing.T, f *fake, d *switchboard, waits func(c *Client) error, opts ...Option) (c *Client, handled func() []string) {
	c = start(t, dialers(d), append(opts, WithLimits(Limits{QueueBytes: 20 << 10}))...)
	var mu sync.Mutex
	var got []string
	_, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
		mu.Lock()
		got = append(got, string(m.Data))
		mu.Unlock()
		_ = waits(c)
		return nil
	}, WithOnGap(func(Gap) {
		mu.Lock()
		got = append(got, "gap")
		mu.Unlock()
	}))
	require.NoError(t, err)
	time.Sleep(time.Second)
	burst(f, "/a", 100, 1000)
	synctest.Wait()
	require.True(t, c.flow.paused())
	return c, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), got...)
	}
}

// The handler waits for the connection, and its reader for the handler: what it has
// read goes into the queue all the same, and the Gap of the break behind it.
func TestABreakWhileAFullQueuePausesReadingIsMendedWhateverTheHandlerWaitsFor(t *testing.T) {
	for name, waits := range map[string]func(c *Client) error{
		"publishes": func(c *Client) error { return c.Publish(context.Background(), "/p", 1) },
		"waits": func(c *Client) error {
			if c.State() == bayeux.Connected {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				_ = c.Publish(ctx, "/p", 1)
			}
			return c.Wait(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := board(f, streams)
				c, handled := pausedBySize(t, f, d, waits)
				d.cut()
				time.Sleep(10 * time.Minute)
				assert.Equal(t, bayeux.Connected, c.State())
				assert.Equal(t, append(prefix(100), "gap"), handled())
				assert.Zero(t, c.Stats().WaitingBytes)
			})
		})
	}
}

// A queue that is full in bytes waits for its handler, which waits for a reply behind what
// it does not read, or for an exchange that cannot be made meanwhile.
func TestAHandlerThatWaitsForAReplyWhileAFullQueuePausesReadingGoesOn(t *testing.T) {
	var last *Subscription
	for name, waits := range map[string]func(c *Client) error{
		"publishes": func(c *Client) error { return c.Publish(context.Background(), "/p", 1) },
		"sends a batch": func(c *Client) error {
			b := c.Batch()
			b.Publish("/p", 1)
			b.Publish("/p", 2)
			return b.Send(context.Background())
		},
		"calls": func(c *Client) error {
			_, err := c.Call(context.Background(), "/service/none", 1)
			return err
		},
		"subscribes and leaves": func(c *Client) (err error) {
			if last != nil {
				err = last.Unsubscribe(context.Background())
				last = nil
				return err
			}
			last, err = c.Subscribe(context.Background(), "/b")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					last = nil
					c, handled := pausedBySize(t, f, d, func(c *Client) error {
						err := waits(c)
						if err != nil {
							assert.ErrorIs(t, err, bayeux.ErrTimeout)
						}
						return err
					})
					time.Sleep(time.Hour)
					assert.Equal(t, bayeux.Connected, c.State())
					assert.Equal(t, prefix(100), handled())
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					assert.NoError(t, c.Publish(ctx, "/p", 1))
				})
			})
		})
	}
}

// What says that it was not sent was not.
func TestAPublishThatIsGivenUpWhileAFullQueuePausesReadingSaysWhetherItWasSent(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var sent atomic.Int64
			_, handled := pausedBySize(t, f, d, func(c *Client) error {
				err := c.Publish(context.Background(), "/p", 1)
				if err == nil || errors.Is(err, ErrLost) {
					sent.Add(1)
				}
				return err
			})
			time.Sleep(time.Hour)
			assert.Len(t, handled(), 100)
			assert.EqualValues(t, f.count("/p"), sent.Load())
		})
	})
}

// A subscriber that takes its time is no reason to give up what waits for an exchange,
// also when room for the next message needs very many.
func TestAPublishWaitsWhileASlowSubscriberGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, polls)), WithLimits(Limits{QueueBytes: 20 << 10}))
		var got []string
		_, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
			time.Sleep(time.Second)
			got = append(got, string(m.Data))
			return nil
		})
		require.NoError(t, err)
		time.Sleep(time.Second)
		burstOf(f, "/a", append(make([]int, 60), 15<<10)...)
		synctest.Wait()
		require.True(t, c.flow.paused())
		require.NoError(t, c.PublishFunc("/p", 1, nil)) // its answer waits behind what is paused
		synctest.Wait()
		begun := time.Now()
		assert.NoError(t, c.Publish(t.Context(), "/p", 2))
		assert.Greater(t, time.Since(begun), 30*time.Second)
		time.Sleep(time.Minute)
		assert.NoError(t, c.Drain(t.Context()))
		<-c.Done()
		assert.Equal(t, prefix(61), got)
	})
}

// Drain waits for requests that nobody else waits for.
func TestAHandlerThatDrainsWhileAFullQueuePausesReadingGoesOn(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			first := true
			begun := time.Now()
			c, _ := pausedBySize(t, f, d, func(c *Client) (err error) {
				if first {
					first = false
					_, err := c.Subscribe(context.Background(), "/b")
					assert.ErrorIs(t, err, bayeux.ErrTimeout)
					return err
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				return c.Drain(ctx)
			})
			<-c.Done()
			assert.Less(t, time.Since(begun), 2*time.Minute)
		})
	})
}

// An unsubscribe still goes out, so nothing is said to be lost.
func TestAnUnsubscribeOutlastsItsCallerWhileAFullQueuePausesReading(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d), WithLimits(Limits{QueueBytes: 20 << 10}))
			other, err := c.Subscribe(t.Context(), "/b")
			require.NoError(t, err)
			var left sync.Once
			_, err = c.SubscribeFunc(t.Context(), "/a", func(context.Context, *bayeux.Message) error {
				left.Do(func() {
					_ = c.PublishFunc("/p", 1, nil) // takes the only exchange
					err := other.Unsubscribe(context.Background())
					assert.ErrorIs(t, err, bayeux.ErrTimeout)
					assert.NotErrorIs(t, err, ErrLost)
				})
				return nil
			})
			require.NoError(t, err)
			time.Sleep(time.Second)
			burst(f, "/a", 100, 1000)
			time.Sleep(time.Minute)
			assert.NotZero(t, f.count(bayeux.MetaUnsubscribe))
			assert.NoError(t, other.Err())
			assert.Equal(t, bayeux.Connected, c.State())
		})
	})
}

// An ordinary exchange that is refused ends the link, too, while the connect's answer
// waits for room.
func TestARefusedExchangeWhileAFullQueuePausesReadingIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, polls)
		first := true
		publish := func(c *Client) error {
			if first {
				first = false
				time.Sleep(time.Second) // until it is paused
				d.set(&transport.Error{Type: "x", Op: "send", Status: http.StatusUnauthorized})
			}
			return c.Publish(context.Background(), "/p", 1)
		}
		tokens := func(context.Context) (AccessToken, error) {
			d.set(nil)
			return Bearer("t"), nil
		}
		c, handled := pausedBySize(t, f, d, publish, WithTokenSource(tokens))
		time.Sleep(10 * time.Minute)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, append(prefix(100), "gap"), handled())
	})
}

// Nor does the end of a session that a publish has been told of wait for a reader that waits for
// a handler that waits for the next session.
func TestAFullQueueHoldsUpNoSessionThatIsKnownToBeGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, polls)
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != "/p" || f.count("/p") > 1 {
				return false
			}
			w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: "402::session_unknown"})
			time.AfterFunc(time.Millisecond, func() { burst(f, "/a", 100, 1000) })
			return true
		}
		c := start(t, dialers(d), WithLimits(Limits{QueueBytes: 20 << 10}))
		var handled atomic.Int64
		_, err := c.SubscribeFunc(t.Context(), "/a", func(context.Context, *bayeux.Message) error {
			defer handled.Add(1)
			return c.Publish(context.Background(), "/p", 1)
		})
		require.NoError(t, err)
		time.Sleep(time.Second)
		f.publish("/a", "0")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.EqualValues(t, 101, handled.Load())
	})
}

// A handler that does not come back costs no more with each break: the bound is
// QueueBytes and what one connection has left, and a Gap tells what is given up for it.
func TestBreakAfterBreakDoesNotFillAFullQueueFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		const most, events, each = 20 << 10, 100, 1000
		c := start(t, dialers(d), WithLimits(Limits{QueueBytes: most}))
		stuck, stop := context.WithCancel(t.Context())
		defer stop()
		var handled, dropped atomic.Int64
		sub, err := c.SubscribeFunc(t.Context(), "/a", func(context.Context, *bayeux.Message) error {
			<-stuck.Done()
			handled.Add(1)
			return nil
		}, WithOnGap(func(g Gap) { dropped.Add(int64(g.Dropped)) }))
		require.NoError(t, err)
		time.Sleep(time.Second)
		const times = 10
		for range times {
			burst(f, "/a", events, each)
			time.Sleep(time.Second)
			require.True(t, c.flow.paused())
			d.cut()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			assert.Error(t, c.Publish(ctx, "/p", 1), "that is how the break is noticed")
			cancel()
			time.Sleep(time.Minute)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.LessOrEqual(t, c.Stats().WaitingBytes, most+events*(each+300))
		}
		assert.Equal(t, times, int(c.Stats().Reconnects))
		stop()
		time.Sleep(time.Minute)
		assert.EqualValues(t, times*events, handled.Load()+dropped.Load())
		assert.EqualValues(t, dropped.Load(), c.Stats().Dropped)
		assert.GreaterOrEqual(t, handled.Load(), int64(events))
		assert.NoError(t, sub.Err())
	})
}
