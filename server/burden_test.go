package server

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/codec"
)

// Small payloads never wait, and one that is as large as it may be waits for a look before
// it is processed.
func TestBetweenLargePayloadsTheNetworkIsLookedAt(t *testing.T) {
	looks := 0
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { looks++ }
	for _, c := range []struct{ size, payloads, looks int }{
		{100, 10_000, 0},
		{largePayload - 1, 1000, 0},
		{largePayload, muchAtOnce / largePayload / 2, 0},
		{largePayload, muchAtOnce/largePayload/2 + 1, 1},
		{largePayload, 3 * muchAtOnce / largePayload / 2, 2},
		{muchAtOnce / 2, 1, 0},
		{muchAtOnce - 1, 1, 1},
		{muchAtOnce, 3, 5}, // one to process each, and two to read the second and the third
		{muchAtOnce + largePart, 1, 2},
	} {
		var b burden
		looks = 0
		for range c.payloads {
			batch, err := b.read(strings.NewReader(payloadOf(c.size)), codec.Limits{Bytes: 1 << 20})
			require.NoError(t, err)
			assert.Equal(t, c.size, batch.Size())
			batch.Release()
		}
		assert.Equal(t, c.looks, looks, "%d payloads of %d bytes", c.payloads, c.size)
		assert.Empty(t, b.waiting)
	}
	var b burden
	_, err := b.read(iotest.ErrReader(errors.New("cut")), codec.Limits{})
	require.EqualError(t, err, "cut")
	looks = 0
	_, err = b.read(strings.NewReader(strings.Repeat(" ", muchAtOnce)+"x"), codec.Limits{Bytes: 1 << 20})
	require.Error(t, err)
	assert.Equal(t, 1, looks, "for the last byte: what is no payload is not processed")
}

func payloadOf(size int) string {
	const frame = `[{"channel":"/a","data":""}]`
	return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
}

// Who waits goes on in order, as many after each look as fit.
func TestWhoBringsTooMuchWaitsBehindThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer func(f func()) { giveWay = f }(giveWay)
		giveWay = func() { time.Sleep(time.Millisecond) }
		var b burden
		b.takeOn(muchAtOnce)
		begin := time.Now()
		var all sync.WaitGroup
		took := make([]time.Duration, 6)
		for i, n := range []int{muchAtOnce / 2, muchAtOnce / 2, 1, muchAtOnce, 2 * muchAtOnce, 1} {
			all.Go(func() {
				b.takeOn(n)
				took[i] = time.Since(begin)
			})
			synctest.Wait()
		}
		all.Wait()
		const look = time.Millisecond
		assert.Equal(t, []time.Duration{look, look, 2 * look, 3 * look, 4 * look, 5 * look}, took)
		assert.Empty(t, b.waiting)
		b.takeOn(muchAtOnce - 1)
		assert.Equal(t, 5*look, time.Since(begin), "nobody waits")
	})
}

// A payload that arrives in pieces is as heavy as one that does not.
func TestAPayloadInPiecesIsTakenOnAsAWhole(t *testing.T) {
	looks := 0
	defer func(f func()) { giveWay = f }(giveWay)
	giveWay = func() { looks++ }
	var b burden
	for name, r := range map[string]io.Reader{
		"bytes":    iotest.OneByteReader(strings.NewReader(payloadOf(muchAtOnce))),
		"with EOF": iotest.DataErrReader(strings.NewReader(payloadOf(muchAtOnce))),
	} {
		b.bytes, looks = 0, 0
		batch, err := b.read(r, codec.Limits{})
		require.NoError(t, err)
		batch.Release()
		assert.Equal(t, 1, looks, name)
	}
}
