package client

import (
	"context"
	"errors"
	"sync"
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

// Extensions see and change what reaches the wire, and what the program gets.
func TestExtensionsSeeAndChangeWhatPasses(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			type key struct{}
			var mu sync.Mutex
			var log []string
			note := func(s string) {
				mu.Lock()
				log = append(log, s)
				mu.Unlock()
			}
			ext := func(name string) Extension {
				return Extension{
					Name: name, Channels: []string{"/a", "/b"},
					Opened:  func(c *Client) { note(name + " opened") },
					Session: func(id string) { note(name + " session " + id) },
					Outgoing: func(ctx context.Context, m *bayeux.Message) error {
						note(name + " out")
						if m.Channel == "/b" {
							return errors.New("vetoed")
						}
						return m.Ext.Set(name, ctx.Value(key{}))
					},
					Incoming: func(ctx context.Context, m *bayeux.Message) error {
						if m.Data == nil {
							return nil
						}
						note(name + " in")
						if string(m.Data) == "2" {
							return errors.New("deleted")
						}
						m.Data = append(m.Data, '0')
						return nil
					},
					Done:   func(ch string, m *bayeux.Message) { note(name + " done " + ch + string(m.Data)) },
					Closed: func() { note(name + " closed") },
				}
			}
			c := start(t, dialers(d), WithExtension(ext("x"), ext("y")))
			ctx := context.WithValue(t.Context(), key{}, "v")
			one, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			two, err := c.Subscribe(ctx, "/*")
			require.NoError(t, err)
			require.NoError(t, c.Publish(ctx, "/a", 1))
			synctest.Wait()
			err = c.Publish(ctx, "/b", 1)
			require.ErrorIs(t, err, bayeux.ErrDeleted)
			require.ErrorContains(t, err, `extension "y": vetoed`)
			f.publish("/a", "2")
			f.publish("/a", "3")
			synctest.Wait()
			assert.Equal(t, []string{"100", "300"}, take(ctx, one, 2), "the first is handled, the second is not")
			assert.Equal(t, []string{"100"}, take(ctx, two, 1))
			c.Close()
			<-c.Done()
			assert.Equal(t, []string{
				"x opened", "y opened", "x session s1", "y session s1",
				"y out", "x out", "x in", "y in", "y out", "x in", "x in", "y in",
				"x done /a100", "y done /a100", "x closed", "y closed",
			}, log)
			for _, ms := range f.payloads {
				for _, m := range ms {
					if m.Channel == "/a" {
						assert.Equal(t, bayeux.Ext{"x": []byte(`"v"`), "y": []byte(`"v"`)}, m.Ext)
					}
				}
			}
		})
	})
}

func TestAnExtensionThatRecoversLeavesNoGap(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d), WithExtension(Extension{Recovers: func(ch string, newSession bool) bool { return !newSession }}))
			var gaps []Gap
			s, err := c.Subscribe(t.Context(), "/a", WithOnGap(func(g Gap) { gaps = append(gaps, g) }))
			require.NoError(t, err)
			time.Sleep(25 * time.Second)
			d.cut()
			time.Sleep(5 * time.Second)
			f.publish("/a", "1")
			take(t.Context(), s, 1)
			assert.Empty(t, gaps)
			f.forget()
			d.cut()
			time.Sleep(5 * time.Second)
			f.publish("/a", "1")
			take(t.Context(), s, 1)
			assert.Len(t, gaps, 1)
			c.ReportGap(Gap{Channel: "/a", Dropped: 3})
			f.publish("/a", "1")
			take(t.Context(), s, 1)
			assert.Equal(t, 3, gaps[1].Dropped)
		})
	})
}
