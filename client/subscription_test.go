package client

import (
	"context"
	"errors"
	"fmt"
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

// Who unsubscribes from what the server does not have any more has what it wants.
func TestUnsubscribingFromWhatTheServerHasForgotten(t *testing.T) {
	for refusal, want := range map[string]error{
		"400::channel_missing":    nil,
		"404::unknown_channel":    nil,
		"402::session_unknown":    nil,
		"403::unsubscribe_denied": bayeux.ErrDenied,
	} {
		both(t, func(t *testing.T, f *fake, d *switchboard) {
			t.Run(refusal, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f.first = refuse(bayeux.MetaUnsubscribe, 1, 100, bayeux.Message{Error: refusal})
					c := start(t, dialers(d), WithoutResubscribe())
					sub, err := c.Subscribe(t.Context(), "/a")
					require.NoError(t, err)
					assert.ErrorIs(t, sub.Unsubscribe(t.Context()), want)
					<-sub.Done()
					assert.NoError(t, sub.Err())
				})
			})
		})
	}
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

// A subscribe with an ext of its own goes to the server though another one has the
// channel. That one may leave meanwhile, and tells nobody; when the server refuses, it
// would send what nobody wants for as long as the session lives.
func TestARefusedSubscribeLeavesWhatTheServerHasTakenBefore(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			left := make(chan struct{})
			denied := refuse(bayeux.MetaSubscribe, 2, 2, bayeux.Message{Error: "403:/a:subscribe_denied"})
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == bayeux.MetaSubscribe && f.count(bayeux.MetaSubscribe) == 2 {
					<-left
				}
				return denied(w, m)
			}
			c := start(t, dialers(d))
			before, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			refused := make(chan error, 1)
			go func() {
				_, err := c.Subscribe(t.Context(), "/a", WithSubscribeExt(bayeux.Ext{"x": []byte("1")}))
				refused <- err
			}()
			synctest.Wait()
			require.NoError(t, before.Unsubscribe(t.Context()))
			close(left)
			require.ErrorIs(t, <-refused, bayeux.ErrDenied)
			time.Sleep(time.Minute)
			assert.Zero(t, f.subscribed("/a"))
			assert.Equal(t, 1, f.count(bayeux.MetaUnsubscribe))
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

func TestAnIllegalSubscriptionIsRefused(t *testing.T) {
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
	topics.add(&Subscription{channels: []string{"/a"}}, "", true, func([]string) {
		sent = true
		assert.Greater(t, topics.generation.Load(), before)
	})
	assert.True(t, sent)
}

// A message without data is an error in its place, and the loop goes on.
func TestValuesTellsOfAMessageWithoutData(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c, ctx := start(t, dialers(d)), t.Context()
			s, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			f.publish("/a", "")
			f.publish("/a", "2")
			var errs []error
			for v, err := range Values[int](ctx, s) {
				if errs = append(errs, err); err == nil {
					assert.Equal(t, 2, v)
					break
				}
			}
			require.Len(t, errs, 2)
			assert.ErrorIs(t, errs[0], bayeux.ErrNoData)
		})
	})
}

// The server has nothing any more of a session that is lost.
func TestUnsubscribeReturnsWhenItsSessionIsLost(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == bayeux.MetaUnsubscribe {
					w.hang()
				}
				return m.Channel == bayeux.MetaUnsubscribe
			}
			c := start(t, dialers(d))
			s, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			returned := make(chan error, 1)
			go func() { returned <- s.Unsubscribe(ctx) }()
			synctest.Wait()
			d.set(errRefused)
			f.expel()
			assert.NoError(t, <-returned)
			assert.Empty(t, c.ID())
		})
	})
}

// Until the server has taken an unsubscribe it sends what is for nobody any more.
// A new subscription to the channel that heard it would then miss what comes
// before the server has taken its own request.
func TestANewSubscriptionHearsNothingThatWasForTheOneBefore(t *testing.T) {
	for name, answers := range map[string]func(w *wire, m *bayeux.Message){
		"answered": func(w *wire, m *bayeux.Message) { w.handle(m) },
		"never":    func(*wire, *bayeux.Message) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				hold := time.Second
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel != bayeux.MetaUnsubscribe {
						return false
					}
					time.AfterFunc(hold, func() { answers(w, m) })
					return true
				}
				c := start(t, dialers(board(f, streams)))
				before, err := c.Subscribe(t.Context(), "/a")
				require.NoError(t, err)
				soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				assert.ErrorIs(t, before.Unsubscribe(soon), context.DeadlineExceeded)
				_, err = c.Subscribe(soon, "/a")
				assert.ErrorIs(t, err, context.DeadlineExceeded, "it can be given up meanwhile")

				began := time.Now()
				subscribed := make(chan *Subscription)
				go func() {
					s, err := c.Subscribe(t.Context(), "/a")
					assert.NoError(t, err)
					subscribed <- s
				}()
				synctest.Wait()
				f.publish("/a", "1")
				s := <-subscribed
				if name == "never" {
					assert.Equal(t, 10*time.Second, time.Since(began), "Timeouts.NetworkDelay")
				} else {
					assert.Less(t, time.Since(began), hold)
				}
				f.publish("/a", "2")
				assert.Equal(t, []string{"2"}, take(t.Context(), s, 1))
				assert.Equal(t, 2, f.count(bayeux.MetaSubscribe))
			})
		})
	}
}
