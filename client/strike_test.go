package client

import (
	"sync/atomic"
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
		var breaks atomic.Bool
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaConnect || !breaks.CompareAndSwap(true, false) {
				return false
			}
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
		breaks.Store(true)
		d.set(nil)
		time.Sleep(time.Minute)
		assert.False(t, breaks.Load())
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, session, c.ID())
	})
}

// A program may call Nudge as often as its network changes.
func TestNudgesEndNoSession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var away atomic.Bool
			f.first = func(w *wire, _ *bayeux.Message) bool {
				now := away.Load()
				if now {
					w.hang()
				}
				return now
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			session := c.ID()
			time.Sleep(time.Second)
			away.Store(true)
			for range 10 {
				c.Nudge()
				time.Sleep(1500 * time.Millisecond)
			}
			away.Store(false)
			time.Sleep(time.Minute)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, session, c.ID())
		})
	})
}

// What the server itself says of a connect, three times in a row, is about the session.
func TestThreeRefusalsInARowEndASessionAtOnce(t *testing.T) {
	for refusals, handshakes := range map[int]int{strikes - 1: 1, strikes: 2} {
		both(t, func(t *testing.T, f *fake, d *switchboard) {
			synctest.Test(t, func(t *testing.T) {
				retry := &bayeux.Advice{Reconnect: bayeux.Retry}
				f.first = refuse(bayeux.MetaConnect, 3, 2+refusals, bayeux.Message{Error: "500::oops", Advice: retry})
				c := start(t, dialers(d))
				time.Sleep(f.hold + 20*time.Second)
				assert.Equal(t, bayeux.Connected, c.State())
				assert.Equal(t, handshakes, f.count(bayeux.MetaHandshake))
			})
		})
	}
}

// But it may not keep one alive of which nothing is heard, however often it does.
func TestADeadSessionEndsAlsoWhereTheProgramNudgesWithoutEnd(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var dead atomic.Value
			dead.Store("")
			f.first = func(w *wire, m *bayeux.Message) bool {
				hangs := m.ClientID != "" && m.ClientID == dead.Load()
				if hangs {
					w.hang()
				}
				return hangs
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			session := c.ID()
			time.Sleep(time.Second)
			dead.Store(session)
			for range 60 {
				c.Nudge()
				time.Sleep(5 * time.Second)
			}
			assert.Equal(t, bayeux.Connected, c.State())
			assert.NotEqual(t, session, c.ID())
		})
	})
}
