package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestALateSubscriberGetsTheLastPriceAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", time.Hour, w) }()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	url := strings.TrimSpace(strings.TrimPrefix(line, "prices at "))

	c, err := cometd.Dial(ctx, url)
	require.NoError(t, err)
	sub, err := c.Subscribe(ctx, "/prices/*")
	require.NoError(t, err)
	seen := map[string]float64{}
	for p, err := range client.Values[Price](ctx, sub) {
		require.NoError(t, err)
		if seen[p.Symbol] = p.Price; len(seen) == 3 {
			break
		}
	}
	assert.Positive(t, seen["ACME"])
	require.NoError(t, c.Close())
	stop()
	require.NoError(t, <-ended)
}
