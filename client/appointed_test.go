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

// appoint answers m, and says when to come again.
func appoint(w *wire, m *bayeux.Message, pause time.Duration) {
	w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded,
		Advice: &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(pause)}})
}

// A server that leaves spreads its clients' return: pauses of their own would
// come on top of the one it has appointed.
func TestAClientComesWhenAServerThatHasLeftWantedIt(t *testing.T) {
	const ms = time.Millisecond
	for name, tt := range map[string]struct{ leaves, least, most time.Duration }{
		"the server leaves before that":      {10 * ms, 300 * ms, 301 * ms},
		"just after, and has not answered":   {400 * ms, 400 * ms, 401 * ms},
		"when the next connect is long held": {5000 * ms, 5500 * ms, 6500 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := board(f, streams)
				told := make(chan time.Time, 1)
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel != bayeux.MetaConnect || f.count(m.Channel) == 1 || d.tries() > 1 {
						return false
					}
					if f.count(m.Channel) == 2 {
						appoint(w, m, 300*ms)
						told <- time.Now()
						time.AfterFunc(tt.leaves, func() { w.conn.Close(transport.GoingAway) })
					}
					return true
				}
				c := start(t, dialers(d))
				require.NoError(t, c.Wait(t.Context()))
				at := <-told
				for d.tries() == 1 {
					time.Sleep(ms)
				}
				assert.GreaterOrEqual(t, time.Since(at), tt.least)
				assert.LessOrEqual(t, time.Since(at), tt.most)
			})
		})
	}
}

// One that does so again and again is not stormed.
func TestAServerThatAlwaysLeavesIsNotStormed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaConnect {
				return false
			}
			appoint(w, m, time.Millisecond)
			w.conn.Close(transport.GoingAway)
			return true
		}
		start(t, dialers(d))
		time.Sleep(time.Hour)
		assert.Greater(t, f.count(bayeux.MetaConnect), 100)
		assert.LessOrEqual(t, f.count(bayeux.MetaConnect), 127)
	})
}
