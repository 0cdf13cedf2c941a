package server_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// frames notes how many messages each frame has that leaves. The server notes
// it when the frame has left: settle before looking.
type frames struct{ sizes chan int }

func newFrames() *frames { return &frames{make(chan int, 1000)} }

func (f *frames) hook() server.Option {
	return server.WithHooks(server.Hooks{FrameOut: func(_ string, n, _ int) { f.sizes <- n }})
}

// forget forgets the frames so far.
func (f *frames) forget() { f.take() }

func (f *frames) take() (sizes []int) {
	for {
		select {
		case n := <-f.sizes:
			sizes = append(sizes, n)
		default:
			return sizes
		}
	}
}

// docs/protocol.md §8: one event a frame and the replies of a payload in one,
// as on the reference, where the application asks for it.
func TestFramesHoldAsManyEventsAsTheLimitSaysAndRepliesApart(t *testing.T) {
	for limit, want := range map[int][]int{1: {1, 1, 1, 1, 1, 6}, 2: {2, 2, 1, 6}, 5: {5, 6}, 100: {5, 6}, 0: {11}, -1: {11}} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			sent := newFrames()
			synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
				c := w.session()
				sent.forget()
				batch := []string{`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/a"}`}
				for i := range 5 {
					batch = append(batch, fmt.Sprintf(`{"channel":"/a","id":"p%d","clientId":"$","data":%d}`, i, i))
				}
				c.send(batch...)
				assert.Len(t, c.all(), 11)
				assert.Equal(t, want, sent.take())
			}, server.WithLimits(server.Limits{FrameMessages: limit}), sent.hook())
		})
	}
}

// A client on polling gets all that waits with one answer; so does one whose
// events leave with connect replies only. One event for each would cost each a
// round trip.
func TestTheLimitOfEventsIsForFramesThatNobodyAskedFor(t *testing.T) {
	sent := newFrames()
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session()
		sent.forget()
		w.Session(c.id).Batch(func() {
			for i := range 4 {
				require.NoError(t, w.Session(c.id).Send("/a", i))
			}
		})
		assert.Equal(t, []string{"0", "1", "2", "3"}, c.data(4))
		w.settle()
		assert.Equal(t, []int{5}, sent.take())
	}, server.WithLimits(server.Limits{FrameMessages: 1}), server.WithConnectOnly(), sent.hook())
}
