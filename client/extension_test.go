package client

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

// A subscription may end when an event is on its way to it. Those that go on say
// alone when that is done.
func TestASubscriptionThatEndsMeanwhileHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var ends *Subscription
		var done []string
		c, ctx := start(t, dialers(board(f, streams)), WithExtension(Extension{
			Channels: []string{"/a"},
			Incoming: func(context.Context, *bayeux.Message) error {
				ends.end(nil, false)
				return nil
			},
			Done: func(_ string, m *bayeux.Message) { done = append(done, string(m.Data)) },
		})), t.Context()
		var err error
		ends, err = c.Subscribe(ctx, "/a")
		require.NoError(t, err)
		_, err = c.SubscribeFunc(ctx, "/a", func(context.Context, *bayeux.Message) error { return nil })
		require.NoError(t, err)
		f.publish("/a", "1")
		synctest.Wait()
		assert.Equal(t, []string{"1"}, done)
		assert.Zero(t, c.Stats().Dropped)
	})
}
