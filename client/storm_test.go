package client

import (
	"net"
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

// tally counts the connects of each session.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tally) next(id string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = make(map[string]int)
	}
	t.n[id]++
	return t.n[id]
}

// unknown refuses m as servers do that have forgotten its session.
func unknown(w *wire, m *bayeux.Message) {
	w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: "403::Unknown client",
		Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(0)}})
}

func accepted(w *wire, m *bayeux.Message) {
	w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded, Subscription: m.Subscription})
}

// However a server ends its sessions, handshakes are as far apart as backoff says.
func TestNoServerIsStormedWithHandshakes(t *testing.T) {
	servers := map[string]func(w *wire, m *bayeux.Message, connect int){
		"an event, then unknown": func(w *wire, m *bayeux.Message, connect int) {
			switch connect {
			case 1:
				accepted(w, m)
			case 2:
				w.send(event("/a", "1"))
				accepted(w, m)
			default:
				unknown(w, m)
			}
		},
		"a slow subscribe, then unknown": func(w *wire, m *bayeux.Message, connect int) {
			if time.Sleep(2 * time.Millisecond); connect < 3 {
				accepted(w, m)
			} else {
				unknown(w, m)
			}
		},
		"held for a moment, then unknown": func(w *wire, m *bayeux.Message, connect int) {
			switch connect {
			case 1:
				accepted(w, m)
			case 2:
				time.Sleep(heldConnect + 10*time.Millisecond)
				accepted(w, m)
			default:
				unknown(w, m)
			}
		},
		"held for some seconds, then unknown": func(w *wire, m *bayeux.Message, connect int) {
			if connect == 1 {
				accepted(w, m)
				return
			}
			time.Sleep(5 * time.Second)
			unknown(w, m)
		},
		"unknown at once": func(w *wire, m *bayeux.Message, _ int) { unknown(w, m) },
	}
	for name, serve := range servers {
		both(t, func(t *testing.T, f *fake, d *switchboard) {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					t.Cleanup(func() { time.Sleep(10 * time.Second) }) // until the server has done
					var connects tally
					f.first = func(w *wire, m *bayeux.Message) bool {
						switch m.Channel {
						case bayeux.MetaConnect:
							serve(w, m, connects.next(m.ClientID))
							return true
						case bayeux.MetaSubscribe:
							time.Sleep(3 * time.Millisecond) // its reply comes during a connect
						}
						return false
					}
					c := start(t, dialers(d))
					go c.Subscribe(t.Context(), "/a") // some sessions are too short for it
					time.Sleep(time.Hour)
					assert.LessOrEqual(t, f.count(bayeux.MetaHandshake), 126)
					assert.Greater(t, f.count(bayeux.MetaHandshake), 100)
				})
			})
		})
	}
}

// A session that is lost after it has worked is routine, and no reason to pause.
func TestALostSessionThatHasWorkedIsReplacedAtOnce(t *testing.T) {
	for _, lived := range []time.Duration{2 * time.Second, 25 * time.Second, 3 * time.Hour} {
		both(t, func(t *testing.T, f *fake, d *switchboard) {
			synctest.Test(t, func(t *testing.T) {
				f.hold = time.Second
				c := start(t, dialers(d))
				time.Sleep(lived)
				f.forget()
				time.Sleep(f.hold)
				synctest.Wait()
				assert.Equal(t, bayeux.Connected, c.State())
				assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
			})
		})
	}
}

// A server may hang, or lose its mind, for one session alone, or a balancer lead
// to a node that does: then only a new session helps.
func TestASessionThatGetsNoAnswerIsReplaced(t *testing.T) {
	for name, answer := range map[string]func(w *wire, d *switchboard){
		"hangs":      func(w *wire, _ *switchboard) { w.hang() },
		"500":        func(w *wire, _ *switchboard) { w.conn.Close(transport.Internal) },
		"breaks":     func(_ *wire, d *switchboard) { d.cut() },
		"empty list": func(w *wire, _ *switchboard) { w.conn.Send(&transport.Payload{}) },
		"another id": func(w *wire, _ *switchboard) { w.raw(`{"channel":"/meta/connect","id":"x9","successful":true}`) },
		"a page":     func(w *wire, _ *switchboard) { w.raw(`<html>log in</html>`) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := board(f, polls)
				var mu sync.Mutex
				bad := false
				f.first = func(w *wire, m *bayeux.Message) bool {
					mu.Lock()
					now := bad && m.ClientID == "s1"
					mu.Unlock()
					if now {
						answer(w, d)
					}
					return now
				}
				c := start(t, dialers(d))
				sub, err := c.Subscribe(t.Context(), "/a")
				require.NoError(t, err)
				time.Sleep(time.Hour)
				mu.Lock()
				bad = true
				mu.Unlock()
				time.Sleep(90 * time.Second)
				assert.Equal(t, bayeux.Connected, c.State())
				assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
				f.publish("/a", "1")
				assert.Equal(t, []string{"1"}, take(t.Context(), sub, 1))
			})
		})
	}
}

// A few exchanges that break are no reason to give up a session, which may have
// messages waiting.
func TestASessionOutlivesExchangesThatBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, polls)
		var broken atomic.Bool
		f.first = func(w *wire, m *bayeux.Message) bool {
			if broken.Load() {
				d.cut()
			}
			return broken.Load()
		}
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(70 * time.Second)
		broken.Store(true)
		d.cut()
		time.Sleep(25 * time.Second)
		broken.Store(false)
		time.Sleep(34 * time.Second) // the longest wait that may have begun
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}

// While there is no connection at all the session is not to blame.
func TestASessionOutlivesANetworkThatIsAway(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			d.set(&net.OpError{Op: "dial", Err: errRefused})
			d.cut()
			time.Sleep(10 * time.Minute)
			assert.Equal(t, bayeux.Unconnected, c.State())
			d.set(nil)
			time.Sleep(34 * time.Second)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		})
	})
}

// Once the server has dropped the session by its own advice, nobody asks for it.
func TestASessionThatTheServerHasDroppedIsNotAskedFor(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		for name, tt := range map[string]struct {
			keeps, away time.Duration
			handshakes  int
		}{
			"not advised": {0, 10 * time.Minute, 1},
			"in time":     {2 * time.Minute, time.Minute, 1},
			"too late":    {10 * time.Second, 10 * time.Minute, 2},
			"for ever":    {1 << 62, 10 * time.Minute, 1},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake()
					d := board(f, map[string]string{bayeux.WebSocket: streams, bayeux.LongPolling: polls}[d.Type()])
					f.first = func(w *wire, m *bayeux.Message) bool {
						if m.Channel != bayeux.MetaConnect || m.Advice == nil {
							return false
						}
						w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded, Advice: &bayeux.Advice{
							Reconnect: bayeux.Retry, Timeout: bayeux.SpanOf(20 * time.Second), MaxInterval: bayeux.SpanOf(tt.keeps)}})
						return true
					}
					c := start(t, dialers(d))
					require.NoError(t, c.Wait(t.Context()))
					d.set(&net.OpError{Op: "dial", Err: errRefused})
					d.cut()
					time.Sleep(tt.away)
					before := f.count(bayeux.MetaConnect)
					d.set(nil)
					time.Sleep(34 * time.Second)
					assert.Equal(t, bayeux.Connected, c.State())
					assert.Equal(t, tt.handshakes, f.count(bayeux.MetaHandshake))
					assert.Positive(t, f.count(bayeux.MetaConnect)-before)
				})
			})
		}
	})
}

// What breaks every few seconds is not given up for half a minute each time, and
// what breaks at once is not asked for ever faster.
func TestAConnectionThatKeepsBreakingIsMadeAgainNeitherTooSoonNorTooLate(t *testing.T) {
	for lived, attempts := range map[time.Duration][2]int{20 * time.Second: {115, 180}, 700 * time.Millisecond: {100, 130}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			d := board(f, streams)
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == bayeux.MetaConnect && m.Advice == nil {
					time.AfterFunc(lived, d.cut)
				}
				return false
			}
			f.hold = time.Minute
			start(t, dialers(d))
			time.Sleep(time.Hour)
			assert.GreaterOrEqual(t, d.tries(), attempts[0])
			assert.LessOrEqual(t, d.tries(), attempts[1])
		})
	}
}
