package memory_test

import (
	"net/url"
	"testing"

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

func TestPollKeepsThePromises(t *testing.T) { transporttest.Run(t, pair(memory.NewPollDialer)) }
