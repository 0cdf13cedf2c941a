package client

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// choking has the fake break the connection of whoever subscribes to /bad, as a
// server does that fails inside, from when it is set. afterwards is done then.
type choking struct {
	mu         sync.Mutex
	now        bool
	afterwards func()
}

func (x *choking) set() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.now = true
}

func (x *choking) first(w *wire, m *bayeux.Message) bool {
	x.mu.Lock()
	now := x.now
	x.mu.Unlock()
	if !now || len(m.Subscription.Channels) != 1 || m.Subscription.Channels[0] != "/bad" {
		return false
	}
	w.conn.Close(transport.Internal)
	if x.afterwards != nil {
		x.afterwards()
	}
	return true
}

// A subscribe that breaks the connection again and again is given up, and meanwhile
// costs the others no more than the first break does.
func TestASubscribeThatTheServerChokesOnIsGivenUpAndNothingElse(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			x := &choking{now: true}
			f.hold, f.first = 5*time.Second, x.first
			c := start(t, dialers(d))
			good, err := c.Subscribe(t.Context(), "/good")
			require.NoError(t, err)
			session := c.ID()

			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			given := make(chan error, 1)
			go func() {
				_, err := c.Subscribe(ctx, "/bad")
				given <- err
			}()
			var mu sync.Mutex
			lost, published := 0, 0
			for len(given) == 0 {
				require.NoError(t, c.PublishFunc("/p", published, func(err error) {
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						lost++
					}
				}))
				published++
				time.Sleep(100 * time.Millisecond)
			}
			err = <-given
			assert.ErrorIs(t, err, ErrLost)
			assert.GreaterOrEqual(t, f.count(bayeux.MetaSubscribe)-1, maxBreaks)
			assert.LessOrEqual(t, f.count(bayeux.MetaSubscribe)-1, 2*maxBreaks)
			time.Sleep(time.Minute)
			assert.Zero(t, f.count(bayeux.MetaUnsubscribe), "the server may choke on that, too")
			mu.Lock()
			assert.LessOrEqual(t, lost, 1, "of %d", published)
			mu.Unlock()
			assert.Equal(t, session, c.ID())
			assert.Equal(t, bayeux.Connected, c.State())
			f.publish("/good", "1")
			assert.Equal(t, []string{"1"}, take(t.Context(), good, 1))
		})
	})
}

// What stands with it in one payload is not to blame.
func TestWhatTheServerChokesOnIsFoundAmongOthers(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			x := &choking{now: true}
			f.hold, f.first = 5*time.Second, x.first
			c := start(t, dialers(d))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			errs := make(map[string]error)
			var mu sync.Mutex
			var all sync.WaitGroup
			for _, ch := range []string{"/a", "/b", "/bad", "/c", "/d"} { // before there is a session
				all.Go(func() {
					_, err := c.Subscribe(ctx, ch)
					mu.Lock()
					defer mu.Unlock()
					errs[ch] = err
				})
			}
			all.Wait()
			assert.ErrorIs(t, errs["/bad"], ErrLost)
			delete(errs, "/bad")
			for ch, err := range errs {
				assert.NoError(t, err, ch)
			}
		})
	})
}

// A server of a new version may choke on what the one before took, also if each time
// the session is lost as well.
func TestARenewalThatTheServerChokesOnEndsItsSubscriptionAlone(t *testing.T) {
	for name, forgets := range map[string]bool{"session kept": false, "session lost": true} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					x := new(choking)
					if forgets {
						x.afterwards = f.forget
					}
					f.hold, f.first = 5*time.Second, x.first
					c := start(t, dialers(d))
					good, err := c.Subscribe(t.Context(), "/good")
					require.NoError(t, err)
					bad, err := c.Subscribe(t.Context(), "/bad", WithChannels("/other"))
					require.NoError(t, err)
					time.Sleep(time.Minute)
					x.set()
					f.forget()
					d.cut()
					time.Sleep(10 * time.Minute)
					select {
					case <-bad.Done():
					default:
						t.Fatal("it is asked for without end")
					}
					assert.ErrorIs(t, bad.Err(), ErrLost)
					assert.NoError(t, good.Err())
					assert.Equal(t, 1, f.subscribed("/good"))
					assert.Zero(t, f.subscribed("/other"))
					assert.LessOrEqual(t, f.count(bayeux.MetaUnsubscribe), 1, "of /other")
					assert.Equal(t, bayeux.Connected, c.State())
				})
			})
		})
	}
}

// An unsubscribe that the server chokes on is given up, too.
func TestAnUnsubscribeThatTheServerChokesOnIsGivenUp(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			x := new(choking)
			f.hold, f.first = 5*time.Second, x.first
			c := start(t, dialers(d))
			bad, err := c.Subscribe(t.Context(), "/bad")
			require.NoError(t, err)
			synctest.Wait() // until it is connected
			x.set()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			assert.ErrorIs(t, bad.Unsubscribe(ctx), ErrLost)
			assert.GreaterOrEqual(t, f.count(bayeux.MetaUnsubscribe), maxBreaks)
			assert.LessOrEqual(t, f.count(bayeux.MetaUnsubscribe), 2*maxBreaks)
		})
	})
}

// A network that is away for hours is no reason to give up a subscribe.
func TestBreaksOfTheNetworkGiveUpNoSubscribe(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var away, back atomic.Bool
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == bayeux.MetaSubscribe {
					away.Store(true)
				}
				if !away.Load() || back.Load() {
					return false
				}
				w.conn.Close(transport.Internal)
				return true
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			subscribed := make(chan error, 1)
			go func() {
				_, err := c.Subscribe(t.Context(), "/a")
				subscribed <- err
			}()
			time.Sleep(3 * time.Hour)
			assert.Empty(t, subscribed)
			back.Store(true)
			require.NoError(t, <-subscribed)
		})
	})
}

// The other subscribe, which only has no reply, was in flight when the network broke: it
// goes alone once, and then nothing waits for it any more.
func TestASubscribeWithoutAReplyHoldsOthersUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == bayeux.MetaSubscribe && f.count(m.Channel) == 1 {
				w.conn.Close(transport.Internal)
			}
			return m.Channel == bayeux.MetaSubscribe
		}
		c := start(t, dialers(d))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() {
			_, err := c.Subscribe(ctx, "/a")
			done <- err
		}()
		require.NoError(t, c.Wait(t.Context()))
		synctest.Wait() // the connection has broken
		slow := 0
		for len(done) == 0 {
			began := time.Now()
			require.NoError(t, c.Publish(t.Context(), "/p", 1))
			if time.Since(began) > 0 {
				slow++
			}
			time.Sleep(time.Second)
		}
		assert.ErrorIs(t, <-done, context.DeadlineExceeded)
		assert.LessOrEqual(t, slow, 2, "for the break, and for the one that goes alone")
	})
}

// A publish is tried as often as the program says, and holds nothing up.
func TestAPublishWithManyAttemptsHoldsNothingUp(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var breaks atomic.Int32
			f.first = func(w *wire, m *bayeux.Message) bool {
				cut := m.Channel == "/p" && breaks.Add(1) <= 2*maxBreaks
				if cut {
					w.conn.Close(transport.Internal)
				}
				return cut
			}
			f.hold = 5 * time.Second
			c := start(t, dialers(d), WithPublishRetry(math.MaxInt, time.Second))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			require.NoError(t, c.Publish(ctx, "/p", 1))
			require.NoError(t, c.Publish(ctx, "/q", 2))
		})
	})
}

// A proxy that turns requests away while the server is busy says nothing about them.
func TestAProxyThatTurnsRenewalsAwayEndsNoSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var left atomic.Int32 // how many are still to be turned away
		f.first = func(w *wire, m *bayeux.Message) bool {
			turned := m.Channel == bayeux.MetaSubscribe && left.Add(-1) >= 0
			if turned {
				_ = w.conn.(transport.Refuser).Refuse(transport.GoingAway, "")
			}
			return turned
		}
		c := start(t, dialers(board(f, polls)))
		a, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		time.Sleep(time.Second)
		left.Store(2 * maxBreaks)
		f.forget()
		for range 300 { // the connect is answered all the while
			f.publish("/x", "1")
			time.Sleep(time.Second)
		}
		assert.Equal(t, int32(-1), left.Load(), "asked for until it is accepted")
		assert.NoError(t, a.Err())
		f.publish("/a", "1")
		assert.Equal(t, []string{"1"}, take(t.Context(), a, 1))
	})
}

// What the request did not ask for the server has, and is told.
func TestWhatOthersHadIsUnsubscribedBesideWhatTheServerChokesOn(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			x := &choking{now: true}
			f.hold, f.first = 5*time.Second, x.first
			c := start(t, dialers(d))
			ok, err := c.Subscribe(t.Context(), "/ok")
			require.NoError(t, err)
			given := make(chan error, 1)
			go func() {
				_, err := c.Subscribe(t.Context(), "/bad", WithChannels("/ok"))
				given <- err
			}()
			time.Sleep(time.Second)
			require.NoError(t, ok.Unsubscribe(t.Context()))
			assert.ErrorIs(t, <-given, ErrLost)
			time.Sleep(time.Minute)
			assert.Zero(t, f.subscribed("/ok"))
		})
	})
}
