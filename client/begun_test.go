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

// A session outlives any number of connections that break while they bring what
// was missed: the server knows it, so a new one would only lose messages.
func TestASessionOutlivesConnectionsThatBreakInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const breaks = 10
		f := newFake()
		d := board(f, streams)
		resumed := 0
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaConnect || f.count(m.Channel) == 1 || resumed == breaks {
				return false
			}
			resumed++
			w.send(event("/a", "1"))
			w.conn.Close(transport.GoingAway)
			return true
		}
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.Equal(t, breaks, resumed)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 1, f.made, "sessions")
	})
}
