package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What stands before a server that restarts answers quickly, and for less time than
// a session lasts.
func TestErrorsOfAProxyEndNoSessionWithinTheTimeOfAConnect(t *testing.T) {
	for name, answer := range map[string]*transport.Error{
		"429":  {Status: 429},
		"502":  {Status: 502},
		"503":  {Status: 503},
		"HTML": {Reason: transport.BadPayload},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					f.hold = time.Minute
					c := start(t, dialers(d))
					require.NoError(t, c.Wait(t.Context()))
					session := c.ID()
					time.Sleep(3*time.Minute + time.Second)
					d.set(answer)
					d.cut()
					time.Sleep(25 * time.Second)
					d.set(nil)
					time.Sleep(time.Minute)
					assert.Equal(t, bayeux.Connected, c.State())
					assert.Equal(t, session, c.ID())
				})
			})
		})
	}
}

// Afterwards it is given up: a cookie may lead to a sick node.
func TestErrorsOfAProxyThatLastEndASession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			d.set(&transport.Error{Status: 503})
			d.cut()
			time.Sleep(2 * time.Minute)
			assert.Empty(t, c.ID())
		})
	})
}

// Three connections that were turned away, within seconds, and one that breaks as it
// opens are no longer than a break of the network.
func TestAStreamThatBreaksAfterItWasTurnedAwayKeepsItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		breaks := false
		f.first = func(w *wire, m *bayeux.Message) bool {
			if !breaks || m.Channel != bayeux.MetaConnect {
				return false
			}
			breaks = false
			w.conn.Close(transport.Internal)
			return true
		}
		f.hold = time.Minute
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		session, before := c.ID(), d.tries()
		d.set(&transport.Error{Status: 503})
		d.cut()
		for d.tries() < before+3 {
			time.Sleep(time.Second)
		}
		breaks = true
		d.set(nil)
		time.Sleep(time.Minute)
		assert.False(t, breaks)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, session, c.ID())
	})
}

// A program may call Nudge as often as its network changes.
func TestNudgesEndNoSession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			away := false
			f.first = func(w *wire, _ *bayeux.Message) bool {
				if away {
					w.hang()
				}
				return away
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			session := c.ID()
			time.Sleep(time.Second)
			away = true
			for range 10 {
				c.Nudge()
				time.Sleep(1500 * time.Millisecond)
			}
			away = false
			time.Sleep(time.Minute)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, session, c.ID())
		})
	})
}
