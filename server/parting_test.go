package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Who is kicked while it is away costs memory until it comes, and counts in no limit
// of sessions: peers that have themselves kicked without end must not fill it.
func TestNoMoreThanTenThousandKickedClientsAreWaitedFor(t *testing.T) {
	srv, err := New(WithTiming(Timing{Sweep: time.Hour}))
	require.NoError(t, err)
	defer srv.Close()
	one := int64(0)
	for i := range mostParting + 1000 {
		s, _ := sessionOf(srv)
		require.NoError(t, s.Send("/service/news", 1))
		if i == 0 {
			one = srv.queued.Load()
		}
		s.Disconnect()
	}
	assert.Equal(t, mostParting, len(srv.sessions.allParting())) // Len would print them
	assert.Equal(t, mostParting*one, srv.queued.Load(), "what the others had queued is gone")
	assert.EqualValues(t, 1000, srv.Stats().Dropped)
	srv.sweepParting(func(*Session) bool { return true })
	assert.Empty(t, srv.sessions.allParting())
	assert.Zero(t, srv.queued.Load())
}
