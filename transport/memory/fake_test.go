package memory_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A request that is held for an hour costs no time in a test.
func TestAHeldExchangeWorksInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.NewPollDialer(func(c transport.Conn) {
			c.Receive()
			time.Sleep(time.Hour)
			c.Send(&transport.Payload{})
		})
		c, err := d.Dial(t.Context(), &transport.Target{})
		require.NoError(t, err)
		defer c.Close(transport.Normal)
		begin := time.Now()
		require.NoError(t, c.Send(&transport.Payload{}))
		r, err := c.Receive()
		require.NoError(t, err)
		text, _ := io.ReadAll(r)
		assert.Equal(t, "[]", string(text))
		assert.Equal(t, time.Hour, time.Since(begin))
	})
}

// A stream whose peer does not receive blocks Send as a socket does, and lets
// fake time go on.
func TestAStuckStreamWorksInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memory.Pipe()
		big := &transport.Payload{Messages: [][]byte{make([]byte, 100<<10)}}
		require.NoError(t, a.Send(big), "the first is taken, whatever its size")
		time.AfterFunc(time.Hour, func() { a.Close(transport.Stalled) })
		begin := time.Now()
		assert.ErrorIs(t, a.Send(big), transport.ErrClosed)
		assert.Equal(t, time.Hour, time.Since(begin))

		_, err := b.Receive()
		require.NoError(t, err, "what was sent is still there")
		_, err = b.Receive()
		assert.Equal(t, transport.Stalled, transport.ReasonOf(err))
		b.Close(transport.Normal)
	})
}

// browsers records who dialled.
func browsers(seen chan<- transport.Peer) func(transport.Conn) {
	return func(c transport.Conn) {
		c.Receive()
		seen <- *c.Peer()
		c.Send(&transport.Payload{Kind: transport.Handshake})
	}
}

func exchange(t *testing.T, d transport.Dialer, to *transport.Target) {
	t.Helper()
	c, err := d.Dial(t.Context(), to)
	require.NoError(t, err)
	defer c.Close(transport.Normal)
	require.NoError(t, c.Send(&transport.Payload{}))
	_, err = c.Receive()
	require.NoError(t, err)
}

func TestBothTransportsShareTheCookieInTheJar(t *testing.T) {
	seen := make(chan transport.Peer, 4)
	poll, stream := memory.NewPollDialer(browsers(seen)), memory.NewDialer(browsers(seen))
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	to := &transport.Target{URL: &url.URL{Scheme: "http", Host: "test", Path: "/cometd"}, HTTP: &http.Client{Jar: jar}}

	exchange(t, poll, to)
	first := <-seen
	assert.True(t, first.Fresh)
	exchange(t, stream, to)
	second := <-seen
	assert.False(t, second.Fresh)
	assert.Equal(t, first.Browser, second.Browser)
}

func TestWithoutAJarADialerIsOneBrowser(t *testing.T) {
	for _, newDialer := range []func(func(transport.Conn)) transport.Dialer{memory.NewPollDialer, memory.NewDialer} {
		seen := make(chan transport.Peer, 4)
		d := newDialer(browsers(seen))
		exchange(t, d, &transport.Target{})
		exchange(t, d, &transport.Target{})
		first, second := <-seen, <-seen
		assert.True(t, first.Fresh)
		assert.False(t, second.Fresh)
		assert.Equal(t, first.Browser, second.Browser)
	}
}
