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
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestATokenOpensTheDoorInTheHeaderAndInExt(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", time.Millisecond, w) }()
	lines := bufio.NewScanner(r)
	require.True(t, lines.Scan())
	url := strings.TrimPrefix(lines.Text(), "notifications at ")
	require.True(t, lines.Scan())
	token := strings.Fields(lines.Text())[5]

	inHeader := client.WithAccessToken(client.Bearer(token))
	inExt := client.WithHandshakeExt(func(context.Context) (bayeux.Ext, error) {
		var ext bayeux.Ext
		return ext, ext.Set("token", token)
	})
	for _, way := range []client.Option{inHeader, inExt} {
		c, err := cometd.Dial(ctx, url, way)
		require.NoError(t, err)
		mine, err := c.Listen(channel)
		require.NoError(t, err)
		for m := range mine.Messages(ctx) {
			assert.Contains(t, string(m.Data), "It is")
			break
		}
		assert.ErrorIs(t, c.Publish(ctx, "/chat", "spam"), bayeux.ErrDenied)
		require.NoError(t, c.Close())
	}
	_, err := cometd.Dial(ctx, url)
	assert.ErrorIs(t, err, bayeux.ErrUnauthorized)
	_, err = cometd.Dial(ctx, url, client.WithAccessToken(client.Bearer(token+"x")))
	assert.ErrorIs(t, err, bayeux.ErrDenied)
	stop()
	require.NoError(t, <-ended)
}
