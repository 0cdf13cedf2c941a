package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSubscriptionsShareOneOnTheWire(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c, ctx := start(t, dialers(d)), t.Context()
			a, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			b, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			assert.Equal(t, 1, f.count(bayeux.MetaSubscribe))
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(ctx, a, 1))
			assert.Equal(t, []string{"1"}, take(ctx, b, 1))
			require.NoError(t, a.Unsubscribe(ctx))
			assert.Equal(t, 0, f.count(bayeux.MetaUnsubscribe), "somebody still wants it")
			require.NoError(t, a.Unsubscribe(ctx))
			require.NoError(t, b.Unsubscribe(ctx))
			assert.Equal(t, 1, f.count(bayeux.MetaUnsubscribe))
			<-a.Done()
			assert.NoError(t, a.Err())
		})
	})
}

// The server sends one copy; each subscription that matches gets it once.
func TestWildcardsFanOutLocally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, ctx := start(t, dialers(board(f, streams))), t.Context()
		var subs []*Subscription
		for _, ch := range []string{"/**", "/a/*", "/a/b", "/a/**", "/c"} {
			s, err := c.Subscribe(ctx, ch, WithChannels("/a/b"))
			require.NoError(t, err)
			subs = append(subs, s)
		}
		f.publish("/a/b", "1")
		f.publish("/c", "2")
		time.Sleep(time.Second)
		for i, n := range []int{2, 1, 1, 1, 2} {
			assert.Equal(t, n, subs[i].queue.len(), subs[i].Channel())
		}
	})
}

func TestARefusedSubscribeIsTold(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = refuse(bayeux.MetaSubscribe, 1, 1, bayeux.Message{Error: "403:/a:subscribe_denied"})
			c, ctx := start(t, dialers(d)), t.Context()
			_, err := c.Subscribe(ctx, "/a")
			require.ErrorIs(t, err, bayeux.ErrDenied)
			s, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(ctx, s, 1))
		})
	})
}

// After a new handshake a refusal concerns one subscription; one that may pass
// is asked for again.
func TestARefusedResubscribeIsToldToItAlone(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var again atomic.Bool
			busy := 0
			f.first = func(w *wire, m *bayeux.Message) bool {
				if !again.Load() || m.Channel != bayeux.MetaSubscribe {
					return false
				}
				reply := &bayeux.Message{Channel: m.Channel, ID: m.ID, Subscription: m.Subscription, Outcome: bayeux.Failed}
				switch m.Subscription.Channels[0] {
				case "/denied":
					reply.Error = "403::subscribe_denied"
				case "/busy":
					if busy++; busy == 3 {
						return false
					}
					reply.Error = "503::busy"
				default:
					return false
				}
				w.send(reply)
				return true
			}
			c, ctx := start(t, dialers(d)), t.Context()
			var subs []*Subscription
			for _, ch := range []string{"/ok", "/denied", "/busy"} {
				s, err := c.Subscribe(ctx, ch)
				require.NoError(t, err)
				subs = append(subs, s)
			}
			time.Sleep(25 * time.Second)
			again.Store(true)
			f.forget()
			d.cut()
			time.Sleep(10 * time.Second)
			<-subs[1].Done()
			assert.ErrorIs(t, subs[1].Err(), bayeux.ErrDenied)
			assert.NoError(t, subs[0].Err())
			assert.NoError(t, subs[2].Err())
			assert.Equal(t, 1, f.subscribed("/ok"))
			assert.Equal(t, 1, f.subscribed("/busy"))
			assert.Equal(t, 3, busy)
		})
	})
}

func TestWithoutResubscribeASubscriptionEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		c := start(t, dialers(d), WithoutResubscribe())
		s, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		f.forget()
		d.cut()
		<-s.Done()
		assert.ErrorIs(t, s.Err(), ErrLost)
		time.Sleep(5 * time.Second)
		assert.Equal(t, 0, f.subscribed("/a"))
	})
}

func TestCancellingASubscribeWithdrawsIt(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel != bayeux.MetaSubscribe {
					return false
				}
				f.mu.Lock()
				f.sessions[m.ClientID].subs = []string{"/a"} // and the reply is lost
				f.mu.Unlock()
				if w.conn.Peer().Once {
					time.Sleep(5 * time.Second)
				}
				return true
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.Subscribe(ctx, "/a")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			time.Sleep(10 * time.Second)
			assert.Equal(t, 0, f.subscribed("/a"))
			assert.Empty(t, c.topics.all())
		})
	})
}

func TestCancellingWhileDisconnectedAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		d.set(errRefused)
		c := start(t, dialers(d))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Subscribe(ctx, "/a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, c.Publish(ctx, "/a", 1), context.DeadlineExceeded)
		d.set(nil)
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Second)
		assert.Equal(t, 0, f.count(bayeux.MetaSubscribe)+f.count("/a"))
	})
}

func TestOverflow(t *testing.T) {
	type gotten struct {
		data []string
		gaps int
		lost int
	}
	run := func(t *testing.T, o Overflow, places int) (g gotten, dropped uint64) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			c, ctx := start(t, dialers(board(f, streams))), t.Context()
			s, err := c.Subscribe(ctx, "/q/*", WithQueue(places, o), WithOnGap(func(gap Gap) {
				g.gaps++
				g.lost += gap.Dropped
				g.data = append(g.data, "gap")
			}))
			require.NoError(t, err)
			for i := range 10 {
				f.publish(fmt.Sprintf("/q/%d", i%3), fmt.Sprint(i))
			}
			time.Sleep(time.Second)
			want := s.queue.len()
			for m := range s.Messages(ctx) {
				g.data = append(g.data, string(m.Data))
				if want--; want == 0 {
					break
				}
			}
			dropped = c.Stats().Dropped
		})
		return g, dropped
	}
	g, dropped := run(t, DropOldest, 4)
	assert.Equal(t, gotten{[]string{"gap", "6", "7", "8", "9"}, 1, 6}, g)
	assert.EqualValues(t, 6, dropped)
	g, dropped = run(t, KeepLatest, 4)
	assert.Equal(t, gotten{[]string{"9", "7", "8"}, 0, 0}, g)
	assert.EqualValues(t, 7, dropped)
	g, dropped = run(t, KeepLatest, 2)
	assert.Equal(t, gotten{[]string{"gap", "8", "9"}, 1, 8}, g, "a channel lost its newest")
	assert.EqualValues(t, 8, dropped)
}

// All queues together have a bound in bytes, whatever their numbers.
func TestQueuesAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, streams)), WithLimits(Limits{QueueBytes: 100 << 10}))
		ctx := t.Context()
		s, err := c.Subscribe(ctx, "/a", WithQueue(1<<20, Pause))
		require.NoError(t, err)
		go func() {
			for range 1000 {
				f.publish("/a", `"`+strings.Repeat("x", 500)+`"`)
			}
		}()
		time.Sleep(time.Second)
		assert.LessOrEqual(t, c.Stats().WaitingBytes, 100<<10)
		assert.True(t, c.flow.paused())
		assert.Len(t, take(ctx, s, 1000), 1000)
		assert.Zero(t, c.Stats().WaitingBytes)
	})
}

func TestFormsOfConsuming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, ctx := start(t, dialers(board(f, streams))), t.Context()
		s, err := c.Subscribe(ctx, "/a")
		require.NoError(t, err)
		for i := range 12 {
			f.publish("/a", fmt.Sprint(i))
		}
		f.publish("/a", `"twelve"`)
		time.Sleep(time.Second)
		for batch := range s.Batches(ctx, 5) {
			assert.Len(t, batch, 5)
			break
		}
		chanCtx, cancel := context.WithCancel(ctx)
		ch := s.Chan(chanCtx)
		assert.Equal(t, "5", string((<-ch).Data))
		assert.Equal(t, "6", string((<-ch).Data))
		cancel()
		synctest.Wait()
		_, open := <-ch
		assert.False(t, open)
		var got []int
		var last error
		for v, err := range Values[int](ctx, s) {
			if err == nil {
				got = append(got, v)
			} else if s.Err() == nil {
				assert.ErrorContains(t, err, "string")
				s.fail(errRefused, true)
			} else {
				last = err
			}
		}
		assert.Equal(t, []int{7, 8, 9, 10, 11}, got)
		assert.Equal(t, errRefused, last, "why it ended")
	})
}

func TestAHandlersErrorEndsItsSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, ctx := start(t, dialers(board(f, streams))), t.Context()
		type key struct{}
		got := 0
		s, err := c.SubscribeFunc(context.WithValue(ctx, key{}, "v"), "/a", Typed(func(ctx context.Context, v int) error {
			assert.Equal(t, "v", ctx.Value(key{}))
			if got++; v == 2 {
				return errors.New("two")
			}
			return nil
		}))
		require.NoError(t, err)
		for i := range 5 {
			f.publish("/a", fmt.Sprint(i))
		}
		<-s.Done()
		assert.EqualError(t, s.Err(), "two")
		assert.Equal(t, 3, got)
		time.Sleep(time.Second)
		assert.Equal(t, 0, f.subscribed("/a"))
	})
}

func TestAHandlerMayCloseTheClient(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			_, err := c.SubscribeFunc(t.Context(), "/a", func(ctx context.Context, _ *bayeux.Message) error {
				assert.NoError(t, c.Close())
				assert.ErrorIs(t, ctx.Err(), context.Canceled)
				return nil
			})
			require.NoError(t, err)
			f.publish("/a", "1")
			<-c.Done()
		})
	})
}

// Some servers take filters; events come on the bare channel.
func TestFiltersPassAndEventsMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, polls)
		c, ctx := start(t, dialers(d)), t.Context()
		s, err := c.Subscribe(ctx, "/topic/T?Name='x'&Size=1", WithSubscribeExt(bayeux.Ext{"replay": []byte(`{"/topic/T":-1}`)}))
		require.NoError(t, err)
		f.publish("/topic/T", "1")
		assert.Equal(t, []string{"1"}, take(ctx, s, 1))
		f.forget()
		d.cut()
		time.Sleep(5 * time.Second)
		var exts int
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, ms := range f.payloads {
			for _, m := range ms {
				if m.Channel == bayeux.MetaSubscribe {
					assert.Equal(t, "/topic/T?Name='x'&Size=1", m.Subscription.Channels[0])
					assert.JSONEq(t, `{"/topic/T":-1}`, string(m.Ext["replay"]))
					exts++
				}
			}
		}
		assert.Equal(t, 2, exts)
	})
}

func TestListenSubscribesToNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, ctx := start(t, dialers(board(f, streams))), t.Context()
		news, err := c.Listen("/service/news")
		require.NoError(t, err)
		meta, err := c.Listen("/meta/*")
		require.NoError(t, err)
		all, err := c.Subscribe(ctx, "/**")
		require.NoError(t, err)
		f.mu.Lock()
		w := f.sessions[c.ID()].wire
		f.mu.Unlock()
		w.raw(`{"channel":"/service/news","data":1}`)
		assert.Equal(t, []string{"1"}, take(ctx, news, 1))
		time.Sleep(time.Second)
		assert.Zero(t, all.queue.len(), "/** has broadcast channels only")
		assert.NotZero(t, meta.queue.len())
		require.NoError(t, news.Unsubscribe(ctx))
		assert.Equal(t, 0, f.count(bayeux.MetaUnsubscribe))
	})
}

func TestIllegalSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, dialers(board(newFake(), streams)))
		for _, ch := range []string{"", "a", "/a//b", "/a/*/b", "/meta/connect", "/a\n"} {
			_, err := c.Subscribe(t.Context(), ch)
			assert.Error(t, err, ch)
		}
		for _, o := range []SubOption{WithQueue(0, Pause), WithQueue(1, 9)} {
			_, err := c.Subscribe(t.Context(), "/a", o)
			assert.Error(t, err)
		}
	})
}

// An extension that knows better, such as one whose stored position the server
// has forgotten, has the subscribe sent again: the first one and the renewal.
func TestAnExtensionMayAskForAnotherSubscribe(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var position atomic.Int64
			position.Store(55)
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel != bayeux.MetaSubscribe || string(m.Ext["replay"]) == "-2" {
					return false
				}
				w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: "400::The replayId {55} you provided was invalid"})
				return true
			}
			replay := Extension{
				Channels: []string{bayeux.MetaSubscribe},
				Outgoing: func(_ context.Context, m *bayeux.Message) error { return m.Ext.Set("replay", position.Load()) },
				Incoming: func(_ context.Context, m *bayeux.Message) error {
					if m.Outcome == bayeux.Failed {
						position.Store(-2)
						m.Advice = &bayeux.Advice{Reconnect: bayeux.Retry}
					}
					return nil
				},
			}
			c := start(t, dialers(d), WithExtension(replay))
			s, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			assert.Equal(t, 1, f.subscribed("/a"))
			time.Sleep(25 * time.Second)
			position.Store(55)
			f.forget()
			d.cut()
			time.Sleep(10 * time.Second)
			assert.Equal(t, 1, f.subscribed("/a"))
			assert.NoError(t, s.Err())
		})
	})
}

// Concurrent subscribes and unsubscribes of one channel end where the last one
// leaves it.
func TestSubscribingAndUnsubscribingAtOnce(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c, ctx := start(t, dialers(d)), t.Context()
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					for range 20 {
						s, err := c.Subscribe(ctx, "/a")
						if assert.NoError(t, err) {
							assert.NoError(t, s.Unsubscribe(ctx))
						}
					}
				})
			}
			wg.Wait()
			assert.Equal(t, 0, f.subscribed("/a"))
			assert.Empty(t, c.topics.all())
			s, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			assert.NotZero(t, f.subscribed("/a"))
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(ctx, s, 1))
		})
	})
}

// The server may answer a subscribe with events at once: routes of before know
// nothing of who asked.
func TestRoutesAreForgottenBeforeASubscribeIsSent(t *testing.T) {
	var topics topics
	topics.init()
	before, sent := topics.generation.Load(), false
	topics.add(&Subscription{channels: []string{"/a"}}, "", func([]string) {
		sent = true
		assert.Greater(t, topics.generation.Load(), before)
	})
	assert.True(t, sent)
}

// What has no subscription any more is told, with whatever filters it was
// subscribed to, and with or without a session.
func TestExtensionsAreToldOfTheLastUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var left []string
		e := Extension{Unsubscribed: func(ch string) { left = append(left, ch) }}
		c, ctx := start(t, dialers(board(f, streams)), WithExtension(e)), t.Context()
		a, err := c.Subscribe(ctx, "/t?a=1")
		require.NoError(t, err)
		b, err := c.Subscribe(ctx, "/t?a=2")
		require.NoError(t, err)
		require.NoError(t, a.Unsubscribe(ctx))
		assert.Empty(t, left)
		require.NoError(t, b.Unsubscribe(ctx))
		assert.Equal(t, []string{"/t"}, left)
	})
}

// An extension may keep an event from some of those who subscribed.
func TestAnExtensionSelectsWhoGetsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var done []string
		e := Extension{
			Selects: func(ch string, m *bayeux.Message) bool { return ch != "/a/*" || string(m.Data) != "1" },
			Done:    func(ch string, m *bayeux.Message) { done = append(done, ch+" "+string(m.Data)) },
		}
		c, ctx := start(t, dialers(board(f, streams)), WithExtension(e)), t.Context()
		wide, err := c.Subscribe(ctx, "/a/*")
		require.NoError(t, err)
		narrow, err := c.Subscribe(ctx, "/a/b")
		require.NoError(t, err)
		listens, err := c.Listen("/a/**")
		require.NoError(t, err)
		f.publish("/a/b", "1")
		f.publish("/a/b", "2")
		assert.Equal(t, []string{"2"}, take(ctx, wide, 1))
		assert.Equal(t, []string{"1", "2"}, take(ctx, narrow, 2))
		assert.Equal(t, []string{"1", "2"}, take(ctx, listens, 2))
		assert.Equal(t, []string{"/a/b 1"}, done, "take leaves the last one undone")
	})
}
