package client

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A request that the server does not answer, or that something before the server turns
// away, takes nothing with it, and lets others pass while it waits to be sent again.
func TestARequestThatComesToNothingLosesNothingElse(t *testing.T) {
	hangs := func(f *fake) transport.Dialer {
		f.first = func(w *wire, m *bayeux.Message) bool {
			is := len(m.Subscription.Channels) > 0 && m.Subscription.Channels[0] == "/bad"
			if is {
				w.hang()
			}
			return is
		}
		return memory.NewPollDialer(f.serve)
	}
	turnedAway := func(f *fake) transport.Dialer {
		d := &turnsAway{Dialer: memory.NewPollDialer(f.serve), channel: `"/bad"`, status: http.StatusServiceUnavailable}
		d.left.Store(math.MaxInt32)
		return d
	}
	for name, dialer := range map[string]func(*fake) transport.Dialer{"hangs": hangs, "turned away": turnedAway} {
		for _, leaves := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " unsubscribe ", leaves), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake()
					f.hold = 5 * time.Second
					d := dialer(f)
					c := start(t, []transport.Dialer{d})
					require.NoError(t, c.Wait(t.Context()))
					if leaves {
						c.unsubscribe([]string{"/bad"})
					} else {
						go c.Subscribe(t.Context(), "/bad")
					}
					synctest.Wait()
					for i := range 100 {
						if i == 50 {
							f.forget() // a new session asks for nothing else
						}
						require.NoError(t, c.Publish(t.Context(), "/good", i))
						time.Sleep(time.Second)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					_, err := c.Subscribe(ctx, "/good")
					require.NoError(t, err)
				})
			})
		}
	}
}

// What is under way when the server says that it does not know the session is not cut:
// its answer says whether it goes into the next one.
func TestAPublishUnderWayWhenItsSessionIsGoneIsNotLost(t *testing.T) {
	for _, taken := range []bool{true, false} {
		both(t, func(t *testing.T, f *fake, d *switchboard) {
			synctest.Test(t, func(t *testing.T) {
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel != "/p" || f.count("/p") > 1 {
						return false
					}
					reply := &bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded}
					if !taken {
						reply.Outcome, reply.Error = bayeux.Failed, "402::session_unknown"
					}
					f.expel()
					time.Sleep(lastAnswers / 2)
					w.send(reply)
					return true
				}
				c := start(t, dialers(d))
				require.NoError(t, c.Wait(t.Context()))
				elapse(time.Minute)
				began := time.Now()
				require.NoError(t, c.Publish(t.Context(), "/p", 1))
				want := 1
				if !taken {
					want = 2
				}
				assert.Equal(t, want, f.count("/p"))
				elapse(lastAnswers - time.Since(began))
				assert.Equal(t, bayeux.Connected, c.State(), "no longer than it needs")
			})
		})
	}
}

// That a publish is told first that the session is gone does not cut the poll that brings
// its last messages and the server's last word.
func TestAKickIsHeardWhateverAPublishIsToldMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, polls)
		heard := make(chan string, 1)
		c := start(t, dialers(d), WithExtension(Extension{Channels: []string{"/a"}, Incoming: func(_ context.Context, m *bayeux.Message) error {
			heard <- string(m.Data) // whoever reads from the subscription may come too late
			return nil
		}}))
		_, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		elapse(time.Minute)
		id := c.ID()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != "/p" {
				return false
			}
			w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: "402::session_unknown"})
			time.AfterFunc(time.Millisecond, func() {
				f.mu.Lock()
				held := f.sessions[id]
				held.queue = append(held.queue, event("/a", "9"))
				f.mu.Unlock()
				f.kick(id)
			})
			return true
		}
		require.ErrorIs(t, c.Publish(t.Context(), "/p", 1), ErrClosed)
		<-c.Done()
		require.Len(t, heard, 1)
		assert.Equal(t, "9", <-heard)
		assert.ErrorIs(t, c.Err(), errKicked)
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}

// Nor does a poll that breaks then make the client ask for the old session again.
func TestASessionThatIsKnownToBeGoneIsNotAskedForAgainWhenItsPollBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, polls)
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		elapse(time.Minute)
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == "/p" && f.count("/p") == 1 {
				held := f.someWire()
				f.forget()
				w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: "402::session_unknown"})
				time.AfterFunc(100*time.Millisecond, func() { held.conn.Close(transport.Internal) })
				return true
			}
			return false
		}
		began := time.Now()
		require.NoError(t, c.Publish(t.Context(), "/p", 1))
		assert.Less(t, time.Since(began), 500*time.Millisecond)
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
	})
}

// A publish that something before the server wants a token for says nothing about the
// session, if there is none to be had.
func TestAPublishThatWantsATokenEndsNoSessionWithoutASourceOfTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := &turnsAway{Dialer: memory.NewPollDialer(f.serve), channel: `"/p"`, status: http.StatusUnauthorized}
		d.left.Store(math.MaxInt32)
		c := start(t, []transport.Dialer{d})
		require.NoError(t, c.Wait(t.Context()))
		for range 3 {
			require.ErrorIs(t, c.Publish(t.Context(), "/p", 1), transport.ErrUnauthorized)
			elapse(time.Second)
		}
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}

// Whoever turns requests away says how long, also for those that are sent again.
func TestRequestsAreRepeatedNoSoonerThanTheServerSays(t *testing.T) {
	for name, act := range map[string]func(c *Client) error{
		"/meta/subscribe": func(c *Client) error { _, err := c.Subscribe(context.Background(), "/a"); return err },
		"/p":              func(c *Client) error { return c.Publish(context.Background(), "/p", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := &turnsAway{Dialer: memory.NewPollDialer(f.serve), channel: name, status: http.StatusServiceUnavailable}
				d.left.Store(3)
				c := start(t, []transport.Dialer{d}, WithPublishRetry(10, time.Millisecond), WithBackoff(time.Millisecond, time.Millisecond))
				require.NoError(t, c.Wait(t.Context()))
				began := time.Now()
				require.NoError(t, act(c))
				assert.EqualValues(t, 4, d.seen.Load())
				assert.GreaterOrEqual(t, time.Since(began), 15*time.Second)
			})
		})
	}
}

// breaksOnce has a fake break the connection of the first message on ch.
func breaksOnce(ch string) func(*wire, *bayeux.Message) bool {
	broken := false
	return func(w *wire, m *bayeux.Message) bool {
		if m.Channel != ch || broken {
			return false
		}
		broken = true
		w.conn.Close(transport.Internal)
		return true
	}
}

// A publish that waits for its next attempt holds later ones up, whose order would
// change, and nothing else.
func TestAPublishThatWaitsForItsNextAttemptLetsSubscribesPass(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = breaksOnce("/p")
			f.hold = time.Second
			c := start(t, dialers(d), WithPublishRetry(2, time.Hour))
			s, err := c.Subscribe(t.Context(), "/p")
			require.NoError(t, err)
			for i := range 3 {
				require.NoError(t, c.PublishFunc("/p", i, func(err error) { assert.NoError(t, err) }))
				time.Sleep(time.Minute)
			}
			began := time.Now()
			_, err = c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			assert.Less(t, time.Since(began), time.Minute)
			assert.Equal(t, []string{"0", "1", "2"}, take(t.Context(), s, 3))
			assert.GreaterOrEqual(t, time.Since(began), 50*time.Minute)
		})
	})
}

// Nobody reads from it any more.
func TestAChanEndsWithItsSubscription(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			s, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			messages := s.Chan(t.Context())
			f.publish("/a", "1")
			f.publish("/a", "2")
			assert.Equal(t, "1", string((<-messages).Data))
			time.Sleep(time.Second)
			require.NoError(t, s.Unsubscribe(t.Context()))
			synctest.Wait()
			select {
			case m, ok := <-messages:
				assert.False(t, ok, "%v", m)
			default:
				assert.Fail(t, "it is open")
			}
		})
	})
}

// Of each channel only the newest waits, also where a Chan had offered an older one.
func TestWhatAChanOffersIsReplacedLikeWhatWaits(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			s, err := c.Subscribe(t.Context(), "/a", WithQueue(8, KeepLatest))
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			messages := s.Chan(ctx)
			for _, data := range []string{"1", "2"} {
				f.publish("/a", data)
				time.Sleep(time.Second)
			}
			cancel()
			synctest.Wait()
			_, open := <-messages
			assert.False(t, open)
			assert.Equal(t, []string{"2"}, take(t.Context(), s, 1))
			assert.EqualValues(t, 1, c.Stats().Dropped)
		})
	})
}

// A lane loses nothing and takes nothing twice, publishes keep their order whatever
// comes back, and whoever waits for requests is woken in time, also for those that rest.
func TestTheOutboxKeepsItsOrderWhateverComesBack(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			o := newOutbox(100000)
			o.openOrdinary()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
			defer cancel()
			total, id := 200, uint64(0)
			lastPublish := uint64(0)
			got := map[*request]bool{}
			made := 0
			r2 := rand.New(rand.NewPCG(seed, 2))
			add := func() {
				r := r2
				var rs []*request
				n := 1 + r.IntN(3)
				pub := r.IntN(2) == 0
				for i := range n {
					id++
					q := &request{id: id, ctx: ctx, channel: "/p"}
					if pub {
						q.more = i < n-1
					} else {
						q.m, q.kind, q.breaks = &bayeux.Message{Channel: "/meta/subscribe"}, transport.Subscribe, new(breaks)
					}
					rs = append(rs, q)
				}
				made += n
				o.put(laneOther, rs...)
			}
			go func() {
				for range total {
					add()
					time.Sleep(time.Duration(r2.IntN(3)) * time.Second)
				}
			}()
			idle := 0
			for idle < 50 {
				c2, stop := context.WithTimeout(ctx, 5*time.Minute)
				rs := o.take(c2, laneConnect, laneOther)
				stop()
				if rs == nil {
					break
				}
				o.done()
				// what waits with an earlier place among publishes?
				o.mu.Lock()
				for _, q := range rs {
					require.False(t, q.after.After(time.Now()))
					if q.m == nil {
						for _, w := range o.lanes[laneOther] {
							require.False(t, w.m == nil && w.place < q.place, "order")
						}
					}
				}
				for i := 1; i < len(o.lanes[laneOther]); i++ {
					require.LessOrEqual(t, o.lanes[laneOther][i-1].place, o.lanes[laneOther][i].place)
				}
				o.mu.Unlock()
				var back []*request
				fail := r.IntN(4) == 0
				for _, q := range rs {
					if fail {
						q.after = time.Now().Add(time.Duration(1+r.IntN(60)) * time.Second)
						if q.m != nil {
							q.failures++
							if r.IntN(3) == 0 {
								q.breaks.times.Add(1)
							}
						}
						back = append(back, q)
					} else {
						require.False(t, got[q])
						got[q] = true
						if q.m == nil {
							require.Greater(t, q.place, lastPublish)
							lastPublish = q.place
						}
						o.goOn(q)
					}
				}
				if len(back) > 0 {
					o.putBack(back)
				}
			}
			require.Len(t, got, made)
		})
	}
}

// Those behind it are sent as soon as nobody waits for the first any more.
func TestAPublishThatRestsAndIsWithdrawnFreesThoseBehindIt(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = breaksOnce("/p")
			f.hold = 10 * time.Minute
			c := start(t, dialers(d), WithPublishRetry(2, time.Hour))
			require.NoError(t, c.Wait(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			go c.Publish(ctx, "/p", 0)
			time.Sleep(30 * time.Second) // it rests now
			began := time.Now()
			require.NoError(t, c.Publish(t.Context(), "/p", 1))
			assert.Less(t, time.Since(began), 31*time.Second)
		})
	})
}

// However many wait.
func TestManyPublishesThatWaitLetASubscribePass(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = breaksOnce("/p")
			c := start(t, dialers(d), WithPublishRetry(2, time.Hour))
			require.NoError(t, c.Wait(t.Context()))
			for i := range 1100 {
				require.NoError(t, c.PublishFunc("/p", i, func(err error) {}))
				if i == 0 {
					time.Sleep(time.Minute)
				}
			}
			began := time.Now()
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			assert.Less(t, time.Since(began), time.Minute)
		})
	})
}
