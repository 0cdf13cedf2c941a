package client

import (
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

// Who hears everything hears of a publish that is lost, or refused by HTTP.
func TestALostPublishIsAnEvent(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == "/p" {
					d.cut()
				}
				return m.Channel == "/p"
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			events := c.Events(t.Context())
			err := c.Publish(t.Context(), "/p", 1)
			require.ErrorIs(t, err, ErrLost)
			c.Close()
			found := false
			for e := range events {
				failure, ok := e.(Failure)
				found = found || ok && failure.Err.Error() == err.Error()
			}
			assert.True(t, found)
		})
	})
}
