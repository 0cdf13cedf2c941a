package client

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Events that belong to the handshake come before the first connect
// (docs/protocol.md §3.1).
func TestAnnouncedEventsAreAwaitedBeforeTheFirstConnect(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			came := make(chan time.Time, 1)
			f.first = func(w *wire, m *bayeux.Message) bool {
				switch m.Channel {
				case bayeux.MetaHandshake:
					reply := `{"channel":"/meta/handshake","id":"` + m.ID + `","successful":true,"clientId":"s1","version":"1.0",` +
						`"supportedConnectionTypes":["websocket","long-polling"],"x-messages":2}`
					f.sessions["s1"] = &session{id: "s1", f: f, woken: make(chan struct{}, 1)}
					if w.conn.Peer().Once {
						w.conn.Send(payload(reply, `{"channel":"/a","data":1}`, `{"channel":"/a","data":2}`))
						return true
					}
					w.conn.Send(payload(reply))
					time.AfterFunc(time.Second, func() { w.raw(`{"channel":"/a","data":1}`) })
					time.AfterFunc(3*time.Second, func() { w.raw(`{"channel":"/a","data":2}`) })
					return true
				case bayeux.MetaConnect:
					select {
					case came <- time.Now():
					default:
					}
				}
				return false
			}
			began := time.Now()
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			want := 3 * time.Second
			if d.Type() == bayeux.LongPolling {
				want = 0
			}
			assert.Equal(t, want, (<-came).Sub(began))
		})
	})
}

// What was announced and never comes delays the connect, but not for ever.
func TestAnnouncedEventsThatStayAwayAreNotAwaitedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaHandshake {
				return false
			}
			f.sessions["s1"] = &session{id: "s1", f: f, woken: make(chan struct{}, 1)}
			w.raw(`{"channel":"/meta/handshake","id":"` + m.ID + `","successful":true,"clientId":"s1","x-messages":9000000000000000000}`)
			return true
		}
		c := start(t, dialers(board(f, streams)), WithTimeouts(Timeouts{NetworkDelay: 4 * time.Second}))
		time.Sleep(5 * time.Second)
		assert.Equal(t, bayeux.Connected, c.State())
	})
}
