//go:build !js

package wsserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "github.com/gocometd/cometd/internal/wire/wiretest"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsserver"
)

// soon is a limit to wait for, paced one that a peer with pauses of a sixteenth
// keeps also on a busy machine, and never one that nobody meets.
const (
	soon  = 400 * time.Millisecond
	paced = 2 * time.Second
	never = 5 * time.Minute
)

func stalling(t *testing.T, limit time.Duration) (*host, <-chan transport.Conn) {
	return served(t, transport.Accept{Stall: limit}, wsserver.WithSendBuffer(16<<10))
}

func big() *transport.Payload {
	return &transport.Payload{Messages: [][]byte{[]byte(strings.Repeat("x", 1<<20))}}
}

func TestAPeerThatTakesNothingIsCut(t *testing.T) {
	t.Run("Send", func(t *testing.T) {
		h, conns := stalling(t, soon)
		h.open(t)
		c := <-conns
		err := c.Send(big())
		assert.Equal(t, transport.Stalled, transport.ReasonOf(err))
		_, err = c.Receive()
		assert.Equal(t, transport.Stalled, transport.ReasonOf(err), "the reader is told the cause")
		assert.Error(t, c.Context().Err())
	})
	t.Run("Start", func(t *testing.T) {
		h, conns := stalling(t, soon)
		h.open(t)
		c, done := <-conns, make(chan error, 1)
		require.False(t, c.(transport.Starter).Start(big(), func(err error) { done <- err }))
		assert.Equal(t, transport.Stalled, transport.ReasonOf(<-done))
	})
	t.Run("and nobody else", func(t *testing.T) {
		h, conns := stalling(t, soon)
		h.open(t)
		stuck := <-conns
		other := h.open(t)
		c, done := <-conns, make(chan error, 1)
		require.False(t, stuck.(transport.Starter).Start(big(), func(err error) { done <- err }))
		for range 1000 {
			require.True(t, c.(transport.Starter).Start(&transport.Payload{}, nil))
			require.Equal(t, Seen{First: Fin | Text, Payload: "[]"}, other.read())
		}
		<-done
	})
}

func TestStartWaitsForNoPeer(t *testing.T) {
	h, conns := stalling(t, never)
	h.open(t)
	c, done := <-conns, make(chan error, 1)
	start := time.Now()
	require.False(t, c.(transport.Starter).Start(big(), func(err error) { done <- err }))
	assert.Less(t, time.Since(start), never/2)
	c.Close(transport.Stalled)
	assert.Error(t, <-done)
}

func TestASlowPeerGetsEverything(t *testing.T) {
	t.Parallel()
	h, conns := stalling(t, paced)
	r := h.open(t)
	c, done := <-conns, make(chan error, 1)
	start := time.Now()
	require.False(t, c.(transport.Starter).Start(big(), func(err error) { done <- err }))
	for left := 10 + 2 + 1<<20; left > 0; { // a frame's head, the brackets, the text
		time.Sleep(paced / 16)
		n, err := r.in.Discard(min(left, 48<<10))
		require.NoError(t, err)
		left -= n
	}
	require.NoError(t, <-done)
	assert.Greater(t, time.Since(start), paced)

	time.Sleep(paced + paced/4) // the deadline of the last piece has passed
	require.True(t, c.(transport.Starter).Start(&transport.Payload{}, nil))
	assert.Equal(t, Seen{First: Fin | Text, Payload: "[]"}, r.read())
}
