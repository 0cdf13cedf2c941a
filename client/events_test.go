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
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStatesTellsEveryChangeAndWhy(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			d.set(errRefused)
			c := start(t, dialers(d))
			var got []Change
			var wg sync.WaitGroup
			wg.Go(func() {
				for ch := range c.States(t.Context()) {
					got = append(got, ch)
				}
			})
			time.Sleep(500 * time.Millisecond)
			d.set(nil)
			time.Sleep(65 * time.Second)
			d.cut()
			time.Sleep(5 * time.Second)
			require.NoError(t, c.Close())
			<-c.Done()
			wg.Wait()
			var states []bayeux.State
			for i, ch := range got {
				states = append(states, ch.To)
				if i > 0 {
					assert.Equal(t, got[i-1].To, ch.From)
				}
			}
			for states[0] != bayeux.Disconnected || got[0].Err == nil { // where the loop came in
				states, got = states[1:], got[1:]
			}
			assert.Equal(t, []bayeux.State{
				bayeux.Disconnected, bayeux.Handshaking, bayeux.Connecting, bayeux.Connected,
				bayeux.Unconnected, bayeux.Connected, bayeux.Disconnecting, bayeux.Stopped,
			}, states)
			assert.ErrorIs(t, got[0].Err, errRefused)
			assert.Error(t, got[4].Err)
			assert.True(t, got[5].Resumed)
			assert.Equal(t, got[3].Session, got[5].Session)
			assert.Equal(t, d.Type(), got[3].Transport)
		})
	})
}

// Any number of receivers see everything that is heard, in one order.
func TestEventsTellEverythingToEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = refuse("/refused", 1, 1, bayeux.Message{Error: "403::no"})
		d := board(f, streams)
		c, ctx := start(t, dialers(d)), t.Context()
		require.NoError(t, c.Wait(ctx))
		synctest.Wait()
		var all [3][]Event
		var wg sync.WaitGroup
		for i := range all {
			events := c.Events(ctx)
			wg.Go(func() {
				for e := range events {
					all[i] = append(all[i], e)
				}
			})
		}
		_, err := c.Subscribe(ctx, "/a")
		require.NoError(t, err)
		f.publish("/a", "1")
		assert.Error(t, c.Publish(ctx, "/refused", 1))
		time.Sleep(time.Second)
		f.forget()
		d.cut()
		time.Sleep(5 * time.Second)
		c.Close()
		<-c.Done()
		wg.Wait()
		assert.Equal(t, all[0], all[1])
		assert.Equal(t, all[0], all[2])
		var kinds []string
		for _, e := range all[0] {
			switch e := e.(type) {
			case Received:
				if e.Channel == "/a" {
					kinds = append(kinds, "message")
				}
			case Failure:
				kinds = append(kinds, "failure")
			case Change:
				kinds = append(kinds, e.To.String())
			case Gap:
				kinds = append(kinds, "gap "+e.Channel)
			}
		}
		assert.Equal(t, []string{
			"message", "failure", "unconnected", "failure", "gap /a", "disconnected", "failure", "handshaking", "gap /a", "connecting", "connected",
			"disconnecting", "stopped",
		}, kinds)
	})
}

func TestASlowReceiverIsToldWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, ctx := start(t, dialers(board(f, streams))), t.Context()
		_, err := c.Subscribe(ctx, "/a", WithQueue(1, KeepLatest))
		require.NoError(t, err)
		time.Sleep(time.Second)
		events := c.Events(ctx)
		for range 3000 {
			f.publish("/a", "1")
		}
		time.Sleep(time.Second)
		lost, seen := 0, 0
		for e := range events {
			if l, ok := e.(EventsLost); ok {
				lost += l.Events
				continue
			}
			if seen++; seen == receiverEvents {
				break
			}
		}
		assert.Equal(t, 3000, lost+seen)
		assert.Equal(t, bayeux.Connected, c.State())
	})
}

func TestHooksCountFrames(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var states, sent, received, replied, dropped, gaps, bytes atomic.Int64
			c := start(t, dialers(d), WithHooks(Hooks{
				State:    func(Change) { states.Add(1) },
				Sent:     func(_ string, n, b int) { sent.Add(int64(n)); bytes.Add(int64(b)) },
				Received: func(_ string, n, b int) { received.Add(int64(n)); bytes.Add(int64(b)) },
				Replied:  func(string, time.Duration, error) { replied.Add(1) },
				Dropped:  func(_ string, n int, why transport.Reason) { dropped.Add(int64(n)) },
				Gap:      func(Gap) { gaps.Add(1) },
			}))
			require.NoError(t, c.Wait(t.Context()))
			_, err := c.Subscribe(t.Context(), "/a", WithQueue(1, DropOldest))
			require.NoError(t, err)
			for range 3 {
				f.publish("/a", "1")
			}
			time.Sleep(time.Second)
			stats := c.Stats()
			assert.EqualValues(t, stats.Sent, sent.Load())
			assert.EqualValues(t, stats.Received, received.Load())
			assert.EqualValues(t, 2, dropped.Load())
			assert.EqualValues(t, 2, stats.Dropped)
			assert.Equal(t, 1, stats.Waiting)
			assert.EqualValues(t, 3, states.Load())
			assert.GreaterOrEqual(t, replied.Load(), int64(3), "handshake, connect, subscribe")
			assert.Positive(t, bytes.Load())
			d.cut()
			time.Sleep(3 * time.Second)
			assert.EqualValues(t, 1, gaps.Load())
		})
	})
}

// Extensions see and change what reaches the wire, and what the program gets.
func TestExtensions(t *testing.T) {
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
