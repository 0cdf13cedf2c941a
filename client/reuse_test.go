package client

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// elapse lets fake time go on, and then all that is due happen.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// restart is what a client sees of one: all sessions and connections are gone.
func restart(f *fake, d *switchboard) {
	f.forget()
	d.cut()
}

// After a restart exactly one stream is dialled: the handshake goes over the one
// on which the server has said that it does not know the session.
func TestOneConnectionIsDialledAfterARestart(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			sub, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			for restarts := 1; restarts < 4; restarts++ {
				elapse(time.Minute)
				restart(f, d)
				elapse(2 * time.Second)
				require.NoError(t, c.Publish(t.Context(), "/b", restarts))
				f.publish("/a", "1")
				assert.Equal(t, []string{"1"}, take(t.Context(), sub, 1))
				assert.Equal(t, 1, f.subscribed("/a"))
				assert.Equal(t, 1+restarts, f.count(bayeux.MetaHandshake))
				assert.Equal(t, restarts, f.count("/b"))
				if d.Type() == bayeux.WebSocket {
					assert.Equal(t, 1+restarts, d.tries())
					assert.Equal(t, 1, f.open())
				}
			}
		})
	})
}

// So it is after a long outage, too, when backoff has grown.
func TestOneConnectionIsDialledAfterALongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		elapse(time.Minute)
		d.set(errRefused)
		restart(f, d)
		elapse(10 * time.Minute)
		failed := d.tries()
		d.set(nil)
		elapse(34 * time.Second)
		require.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, failed+1, d.tries())
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
	})
}

// A session that ends while its stream is well is replaced over that stream.
func TestALostSessionIsReplacedOverItsStream(t *testing.T) {
	again := &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(0)}
	for name, end := range map[string]func(f *fake, c *Client){
		"unknown":                 func(f *fake, _ *Client) { f.expel() },
		"unknown, no advice":      func(f *fake, _ *Client) { f.forget() }, // the next connect gets it
		"advice in a good answer": func(f *fake, c *Client) { f.sessions[c.ID()].release(again) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := board(f, streams)
				c := start(t, dialers(d))
				sub, err := c.Subscribe(t.Context(), "/a")
				require.NoError(t, err)
				elapse(65 * time.Second)
				old := c.ID()
				end(f, c)
				elapse(25 * time.Second)
				require.Equal(t, bayeux.Connected, c.State())
				assert.NotEqual(t, old, c.ID())
				assert.Equal(t, 1, d.tries())
				f.mu.Lock()
				delete(f.sessions, old) // of which the stream is no more
				f.mu.Unlock()
				f.publish("/a", "1")
				assert.Equal(t, []string{"1"}, take(t.Context(), sub, 1))
			})
		})
	}
}

// A stream that fails in the handshake is replaced by a new connection, at once.
func TestAStreamThatFailsInTheHandshakeIsReplaced(t *testing.T) {
	none := &bayeux.Advice{Reconnect: bayeux.NoReconnect}
	for name, tt := range map[string]struct {
		spoil func(w *wire, m *bayeux.Message) bool // what the stream of before does with the handshake
		takes time.Duration
	}{
		"closed":    {func(w *wire, _ *bayeux.Message) bool { w.conn.Close(transport.GoingAway); return true }, 0},
		"garbage":   {func(w *wire, _ *bayeux.Message) bool { w.raw(`<html>`); return true }, 0},
		"silence":   {func(*wire, *bayeux.Message) bool { return true }, 10 * time.Second},
		"half-open": {func(w *wire, _ *bayeux.Message) bool { w.dead.Store(true); return true }, 10 * time.Second},
		"one is enough": {func(w *wire, m *bayeux.Message) bool {
			w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: "403::handshake_failed", Advice: none})
			return true
		}, 0},
		"later": {func(w *wire, m *bayeux.Message) bool {
			w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: "503::later"})
			return true
		}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := board(f, streams)
				spoilt := false
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel != bayeux.MetaHandshake || d.tries() != 2 || spoilt {
						return false
					}
					spoilt = true
					return tt.spoil(w, m)
				}
				c := start(t, dialers(d))
				sub, err := c.Subscribe(t.Context(), "/a")
				require.NoError(t, err)
				elapse(time.Minute)
				restart(f, d)
				elapse(1600*time.Millisecond + tt.takes)
				assert.True(t, spoilt)
				require.Equal(t, bayeux.Connected, c.State())
				assert.Equal(t, 3, d.tries())
				assert.Equal(t, 1, f.open())
				f.publish("/a", "1")
				assert.Equal(t, []string{"1"}, take(t.Context(), sub, 1))
			})
		})
	}
}

// Some servers close a stream after they have said that its session is unknown.
func TestAStreamThatIsClosedAfterTheRefusalIsReplacedAtOnce(t *testing.T) {
	for _, later := range []time.Duration{0, time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			d := board(f, streams)
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel != bayeux.MetaConnect || d.tries() != 2 {
					return m.Channel == bayeux.MetaHandshake && d.tries() == 2
				}
				w.handle(m)
				if later > 0 {
					time.AfterFunc(later, func() { w.conn.Close(transport.GoingAway) })
				} else {
					w.conn.Close(transport.GoingAway)
				}
				return true
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			elapse(time.Minute)
			restart(f, d)
			elapse(1600 * time.Millisecond)
			require.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, 3, d.tries())
			assert.Equal(t, 2, f.made)
		})
	}
}

// While the old session owes an answer, for longer than is waited for it, its stream is
// not used for another: the answer could be taken for one of the new session.
func TestAStreamThatOwesAnAnswerIsNotUsedForAnotherSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		var swallowed atomic.Pointer[wire]
		var id string
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != "/b" || swallowed.Load() != nil {
				return false
			}
			id = m.ID
			swallowed.Store(w)
			return true
		}
		c := start(t, dialers(d), WithPublishRetry(3, time.Second))
		require.NoError(t, c.Wait(t.Context()))
		elapse(time.Minute)
		published := make(chan error, 1)
		go func() { published <- c.Publish(t.Context(), "/b", 1) }()
		synctest.Wait()
		f.expel()
		elapse(lastAnswers + time.Second)
		swallowed.Load().send(&bayeux.Message{Channel: "/b", ID: id, Outcome: bayeux.Failed, Error: "402::session_unknown"})
		require.NoError(t, <-published)
		require.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
		assert.Equal(t, 2, d.tries())
		assert.Equal(t, 2, f.count("/b"))
	})
}

// Nor if nobody waits for that answer any more: its request, which waits to be sent again,
// would get it.
func TestAStreamThatOwesAnAnswerToWhatWasGivenUpIsNotUsedForAnotherSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		var swallowed *wire
		f.first = func(w *wire, m *bayeux.Message) bool {
			switch {
			case m.Channel != "/b":
				return false
			case swallowed == nil:
				swallowed = w
				return true
			case swallowed == w:
				w.send(&bayeux.Message{Channel: "/b", ID: m.ID, Outcome: bayeux.Failed, Error: "402::session_unknown"})
			}
			return false
		}
		c := start(t, dialers(d), WithPublishRetry(3, 30*time.Second))
		require.NoError(t, c.Wait(t.Context()))
		elapse(time.Minute)
		published := make(chan error, 1)
		go func() { published <- c.Publish(t.Context(), "/b", 1) }()
		elapse(12 * time.Second) // given up after ten
		f.expel()
		require.NoError(t, <-published)
		elapse(time.Minute)
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
		assert.Equal(t, 2, f.count("/b"))
	})
}

// What still comes of the old session is not taken for the new one's: neither
// its answers nor its end.
func TestWhatComesLateIsNotTheNewSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		var refused *bayeux.Message
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == bayeux.MetaHandshake && refused != nil {
				w.raw(`{"channel":"/meta/disconnect","successful":true}`)
				w.raw(`{"channel":"/meta/connect","id":"` + refused.ID + `","successful":false,"error":"402::session_unknown","advice":{"reconnect":"none"}}`)
				w.handle(m)
				w.raw(`{"channel":"/meta/connect","id":"` + refused.ID + `","successful":false,"error":"402::session_unknown","advice":{"reconnect":"none"}}`)
				return true
			}
			if m.Channel == bayeux.MetaConnect && d.tries() == 2 && refused == nil {
				refused = m
			}
			return false
		}
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		elapse(time.Minute)
		restart(f, d)
		elapse(time.Minute)
		require.NotNil(t, refused)
		require.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
		assert.Equal(t, 2, d.tries())
	})
}

// Events that the second handshake's reply announces are counted anew.
func TestAnnouncedEventsAreAwaitedInEachSessionOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		var due time.Time // of the last event that was announced
		early := false
		f.first = func(w *wire, m *bayeux.Message) bool {
			switch m.Channel {
			case bayeux.MetaHandshake:
				due = time.Now().Add(3 * time.Second)
				f.mu.Lock()
				f.made++
				id := "s" + strings.Repeat("x", f.made)
				f.sessions[id] = &session{id: id, f: f, woken: make(chan struct{}, 1)}
				f.mu.Unlock()
				w.raw(`{"channel":"/meta/handshake","id":"` + m.ID + `","successful":true,"clientId":"` + id + `","x-messages":2}`)
				time.AfterFunc(time.Second, func() { w.raw(`{"channel":"/a","data":1}`) })
				time.AfterFunc(3*time.Second, func() { w.raw(`{"channel":"/a","data":2}`) })
				return true
			case bayeux.MetaConnect:
				early = early || time.Now().Before(due)
			}
			return false
		}
		c := start(t, dialers(d))
		for sessions := 1; sessions < 4; sessions++ {
			elapse(2 * time.Minute)
			require.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, sessions, f.made)
			f.expel()
		}
		assert.False(t, early, "a connect before the last event")
		assert.Equal(t, 1, d.tries())
	})
}

// Where the new session's server takes other transports only, it moves there.
func TestASessionMayMoveAfterAHandshakeOverTheOldStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		c := start(t, dialers(stream, poll))
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		elapse(time.Minute)
		f.mu.Lock()
		f.types = []string{bayeux.LongPolling}
		f.mu.Unlock()
		restart(f, stream)
		elapse(5 * time.Second)
		require.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, bayeux.LongPolling, c.Stats().Transport)
		assert.Equal(t, 2, stream.tries())
		f.publish("/a", "1")
		assert.Equal(t, []string{"1"}, take(t.Context(), sub, 1))
	})
}

// A stream is as good as the credential that it was opened with.
func TestAStreamIsNotUsedForAnotherCredential(t *testing.T) {
	for name, tt := range map[string]struct {
		tokens Option
		dials  int
	}{
		"another": {tokens("one", "two"), 3},
		"same":    {tokens("one"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := board(f, streams)
				s := &seen{Dialer: d}
				c := start(t, []transport.Dialer{s}, tt.tokens)
				require.NoError(t, c.Wait(t.Context()))
				elapse(time.Minute)
				restart(f, d)
				elapse(5 * time.Second)
				require.Equal(t, bayeux.Connected, c.State())
				assert.Equal(t, tt.dials, d.tries())
				assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
				if tt.dials == 3 {
					assert.Equal(t, "Bearer two", s.headers[2].Get("Authorization"))
				}
			})
		})
	}
}

// A server that wants a pause before the handshake has no open stream meanwhile.
func TestNoStreamIsKeptDuringAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		f.first = refuse(bayeux.MetaConnect, 3, 3, bayeux.Message{Error: "402::session_unknown",
			Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(time.Minute)}})
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		elapse(50 * time.Second) // refused after 20
		assert.Zero(t, f.open())
		assert.NotEqual(t, bayeux.Connected, c.State())
		elapse(time.Minute)
		require.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 2, d.tries())
	})
}

// A stream whose session was never answered may be what is wrong.
func TestAStreamThatCarriesNoSessionIsNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		f.first = unknownOver(1)
		c := start(t, dialers(d))
		elapse(10 * time.Second)
		require.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 2, d.tries())
	})
}

// unknownOver refuses all connects over the first n wires.
func unknownOver(n int) func(w *wire, m *bayeux.Message) bool {
	var met []*wire
	return func(w *wire, m *bayeux.Message) bool {
		if m.Channel == bayeux.MetaHandshake && len(met) < n {
			met = append(met, w)
		}
		if m.Channel != bayeux.MetaConnect {
			return false
		}
		for _, bad := range met {
			if bad == w {
				unknown(w, m)
				return true
			}
		}
		return false
	}
}
