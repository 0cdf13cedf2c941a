package client

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// forgets has the only session leave ch, as after an unsubscribe.
func (f *fake) forgets(ch string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		s.subs = slices.DeleteFunc(s.subs, func(o string) bool { return o == ch })
	}
}

// leaves subscribes to ch and unsubscribes, which is not answered.
func leaves(t *testing.T, c *Client, ch string, opts ...SubOption) {
	s, err := c.Subscribe(t.Context(), ch, opts...)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorIs(t, s.Unsubscribe(ctx), context.DeadlineExceeded)
}

// An unsubscribe that the server takes without a word is not sent again once somebody
// has subscribed anew: that subscription would end, and nobody would know.
func TestASubscriptionIsNotEndedByAnEarlierUnsubscribe(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(_ *wire, m *bayeux.Message) bool {
				if m.Channel == bayeux.MetaUnsubscribe {
					f.forgets("/a")
					return true
				}
				return false
			}
			c := start(t, dialers(d))
			leaves(t, c, "/a")
			s, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			time.Sleep(10 * time.Minute)
			require.Equal(t, 1, f.subscribed("/a"))
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(t.Context(), s, 1))
		})
	})
}

// A server that is slow takes an unsubscribe when its client has given that up and has
// subscribed anew: what came for the subscription of before would stand before a hole.
func TestASubscriptionBeginsBehindAnUnsubscribeThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		subscribes := 0
		f.first = func(_ *wire, m *bayeux.Message) bool {
			switch m.Channel {
			case bayeux.MetaUnsubscribe:
				return true
			case bayeux.MetaSubscribe:
				if subscribes++; subscribes == 2 {
					f.publish("/a", "1")
					f.forgets("/a")
					f.publish("/a", "2")
				}
			}
			return false
		}
		c := start(t, dialers(board(f, streams)))
		leaves(t, c, "/a")
		s, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		f.publish("/a", "3")
		assert.Equal(t, []string{"3"}, take(t.Context(), s, 1))
	})
}

// What is given up then has moved the position of an extension that follows the channel:
// it is a gap, or nobody would ever ask for it.
func TestWhatIsGivenUpBehindAnUnsubscribeThatIsLateIsAGapWhereAnExtensionFollows(t *testing.T) {
	for name, e := range map[string]Extension{"followed": {Done: func(string, *bayeux.Message) {}}, "not": {}} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					var subscribes atomic.Int32
					f.first = func(w *wire, m *bayeux.Message) bool {
						if m.Channel == bayeux.MetaSubscribe && subscribes.Add(1) == 2 {
							w.send(event("/a", "1"), event("/a", "2")) // the past, before the reply
						}
						return m.Channel == bayeux.MetaUnsubscribe
					}
					var told []Gap
					c := start(t, dialers(d), WithExtension(e), WithHooks(Hooks{Gap: func(g Gap) { told = append(told, g) }}))
					leaves(t, c, "/a")
					var heard []string
					began := time.Now()
					_, err := c.SubscribeFunc(t.Context(), "/a",
						func(_ context.Context, m *bayeux.Message) error { heard = append(heard, string(m.Data)); return nil },
						WithOnGap(func(g Gap) {
							assert.Equal(t, Gap{Channel: "/a", From: g.From, To: time.Now(), Dropped: 2, Reason: transport.Overflow}, g)
							assert.True(t, g.From.After(began))
							heard = append(heard, "gap")
						}))
					require.NoError(t, err)
					time.Sleep(time.Minute)
					f.publish("/a", "3")
					synctest.Wait()
					if name == "followed" {
						assert.Equal(t, []string{"gap", "3"}, heard)
						assert.Len(t, told, 1)
					} else {
						assert.Equal(t, []string{"3"}, heard, "it begins when the server has taken it")
						assert.Empty(t, told)
					}
				})
			})
		})
	}
}

// An unsubscribe of several channels that is given up for one of them is sent for the
// others: the server would send events that nobody wants for as long as the session lives.
func TestAnUnsubscribeThatIsGivenUpForOneChannelIsSentForTheOthers(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(_ *wire, m *bayeux.Message) bool {
				return m.Channel == bayeux.MetaUnsubscribe && slices.Contains(m.Subscription.Channels, "/a")
			}
			c := start(t, dialers(d))
			leaves(t, c, "/b", WithChannels("/a", "/c"))
			s, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			synctest.Wait()
			time.Sleep(time.Minute)
			assert.Equal(t, []int{1, 0, 0}, []int{f.subscribed("/a"), f.subscribed("/b"), f.subscribed("/c")})
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(t.Context(), s, 1))
		})
	})
}

// Who unsubscribes while a new session is prepared has no session to say it in, and
// the channel may be among what that session is asked for.
func TestARenewalThatNobodyWantsAnyMoreIsTakenBack(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			require.True(t, c.outbox.put(laneOther, c.renewal("/a", nil)))
			c.flow.signal()
			time.Sleep(time.Minute)
			assert.Equal(t, 1, f.count(bayeux.MetaSubscribe))
			assert.Equal(t, 1, f.count(bayeux.MetaUnsubscribe))
			assert.Zero(t, f.subscribed("/a"))
		})
	})
}

// The server has not taken it, so there is nothing to leave.
func TestARefusedRenewalIsNotUnsubscribed(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = refuse(bayeux.MetaSubscribe, 2, 100, bayeux.Message{Error: "403::denied"})
			c := start(t, dialers(d))
			s, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			f.expel()
			<-s.Done()
			assert.ErrorIs(t, s.Err(), bayeux.ErrDenied)
			time.Sleep(time.Minute)
			assert.Zero(t, f.count(bayeux.MetaUnsubscribe))
		})
	})
}

// The request of the session before makes way while it is in hand: the server has not
// taken it.
func TestARenewalThatMakesWayIsNotTakenForAccepted(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			before := c.renewal("/a", nil)
			r := c.renewal("/a", nil) // of the next session
			tp := func() topic { c.topics.mu.Lock(); defer c.topics.mu.Unlock(); return *c.topics.byCh["/a"] }
			require.Same(t, r, tp().renewal)
			before.session = "gone"
			c.requeue(before) // as unreached and notSent do
			assert.Same(t, r, tp().renewal)
			assert.NotEqual(t, "gone", tp().session)
			c.settle(r, nil, lost(r.channel, errOver))
		})
	})
}
