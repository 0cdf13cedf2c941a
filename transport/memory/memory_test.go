package memory_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/gocometd/cometd/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pair(newDialer func(func(transport.Conn)) transport.Dialer) transporttest.Pair {
	return func(t testing.TB, limit int, serve func(transport.Conn)) transporttest.Dial {
		d := newDialer(serve) // its goroutines end with the test, or goleak tells
		target := &transport.Target{URL: &url.URL{Scheme: "http", Host: "test"}, Limit: limit}
		return func() (transport.Conn, error) { return d.Dial(t.Context(), target) }
	}
}

func TestStreamKeepsThePromises(t *testing.T) { transporttest.Run(t, pair(memory.NewDialer)) }

func TestLocalStreamKeepsThePromises(t *testing.T) { transporttest.Run(t, pair(memory.NewLocalDialer)) }

func TestALocalStreamSaysThatItIsOne(t *testing.T) {
	d := memory.NewLocalDialer(func(c transport.Conn) {
		assert.Equal(t, "in-process", c.Peer().Type)
		c.Receive()
	})
	c, err := d.Dial(t.Context(), &transport.Target{})
	require.NoError(t, err)
	defer c.Close(transport.Normal)
	assert.Equal(t, "in-process", d.Type())
	assert.Equal(t, "in-process", c.Peer().Type)
	assert.False(t, c.Peer().Once)
}

func TestPollKeepsThePromises(t *testing.T) { transporttest.Run(t, pair(memory.NewPollDialer)) }
