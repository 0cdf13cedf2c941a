package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// While the client rests between two connects it notices that the connection
// or the session is gone.
func TestARestEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaConnect {
				return false
			}
			w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded,
				Advice: &bayeux.Advice{Interval: bayeux.SpanOf(10 * time.Minute)}})
			return true
		}
		d := board(f, streams)
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Second)
		d.cut()
		synctest.Wait()
		assert.Equal(t, bayeux.Unconnected, c.State())
	})
}

// A server that holds nothing and says how often to ask is asked as often, as with
// the advice multiple-clients.
func TestAnAdvisedIntervalIsKeptWhereNothingIsHeld(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel != bayeux.MetaConnect {
					return false
				}
				appoint(w, m, 2*time.Second)
				return true
			}
			start(t, dialers(d))
			time.Sleep(10 * time.Minute)
			f.mu.Lock()
			defer f.mu.Unlock()
			last := len(f.times) - 1
			assert.Equal(t, 2*time.Second, f.times[last].Sub(f.times[last-1]))
		})
	})
}

// A server that asks for no pause and holds nothing gets no endless loop.
func TestAServerThatHoldsNothingIsPaced(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel != bayeux.MetaConnect {
					return false
				}
				w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded})
				return true
			}
			c := start(t, dialers(d))
			time.Sleep(time.Hour)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Less(t, f.count(bayeux.MetaConnect), 1000)
		})
	})
}
