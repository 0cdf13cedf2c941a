package server

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/codec"
)

// Many peers with large payloads have the processor one after the other, and the
// network is looked at in between; small payloads never wait.
func TestALargePayloadIsReadParsedAndProcessedInTurn(t *testing.T) {
	ways := 0
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { ways++ }
	for _, c := range []struct{ size, ways int }{
		{100, 0},
		{largePayload - 1, 0},
		{largePayload, 2}, // before it is parsed, and after
		{largePart - 1, 2},
		{largePart, 3}, // and after each part
		{3*largePart + 1, 5},
	} {
		const frame = `[{"channel":"/a","data":""}]`
		text := strings.Replace(frame, `""`, `"`+strings.Repeat("x", c.size-len(frame))+`"`, 1)
		require.Len(t, text, c.size)
		ways = 0
		b, err := readInTurn(strings.NewReader(text), codec.Limits{Bytes: 1 << 20})
		require.NoError(t, err)
		assert.Equal(t, c.size, b.Size())
		b.Release()
		assert.Equal(t, c.ways, ways, "%d bytes", c.size)
	}
	ways = 0
	_, err := readInTurn(iotest.ErrReader(errors.New("cut")), codec.Limits{Bytes: 1 << 20})
	require.EqualError(t, err, "cut")
	_, err = readInTurn(strings.NewReader(strings.Repeat(" ", largePayload)+"x"), codec.Limits{Bytes: 1 << 20})
	require.Error(t, err)
	assert.Equal(t, 1, ways, "what is none is not processed")
}
