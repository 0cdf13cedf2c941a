package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
)

// burst has the fake send n events on ch in one payload: 0, 1, 2 and so on, each with
// more bytes beside it.
func burst(f *fake, ch string, n, more int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		var events []*bayeux.Message
		for i := range n {
			m := event(ch, fmt.Sprint(i))
			m.ID = strings.Repeat("x", more)
			events = append(events, m)
		}
		if w := s.wire; w != nil {
			go w.flush(events...)
			return
		}
		s.queue = append(s.queue, events...)
		s.woken <- struct{}{}
	}
}

// prefix is what a subscription of a burst may have handled: nothing is
// missing before the last one.
func prefix(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i)
	}
	return all
}

// slowly takes so long for each message that comes in.
func slowly(ch string, d time.Duration) Extension {
	return Extension{Name: "slowly", Incoming: func(_ context.Context, m *bayeux.Message) error {
		if m.Channel == ch {
			time.Sleep(d)
		}
		return nil
	}}
}

// A reader waits for room when the client ends: what it then gives up is the end of
// what the subscription gets, also if there is room again before all is over.
func TestWhatIsHandedOverOfAPausedQueueAtTheEndHasNoHole(t *testing.T) {
	for name, end := range map[string]func(c *Client) error{
		"drain": func(c *Client) error { return c.Drain(context.Background()) },
		"close": (*Client).Close,
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					f.first = func(_ *wire, m *bayeux.Message) bool {
						if m.Channel == bayeux.MetaDisconnect {
							time.Sleep(time.Second)
						}
						return false
					}
					c := start(t, dialers(d), WithExtension(slowly("/a", time.Millisecond)))
					var mu sync.Mutex
					var got []string
					sub, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
						mu.Lock()
						got = append(got, string(m.Data))
						mu.Unlock()
						time.Sleep(50 * time.Millisecond)
						return nil
					}, WithQueue(2, Pause))
					require.NoError(t, err)
					time.Sleep(time.Second)
					burst(f, "/a", 100, 0)
					time.Sleep(120 * time.Millisecond)
					require.True(t, c.flow.paused())
					assert.NoError(t, end(c))
					<-c.Done()
					assert.Equal(t, prefix(len(got)), got)
					if name == "drain" {
						assert.GreaterOrEqual(t, len(got), 5, "what waited in the queue is handed over")
					}
					assert.ErrorIs(t, sub.Err(), ErrClosed)
				})
			})
		})
	}
}

// Two exchanges have brought something: what is not handed over of the first ends
// the second, too.
func TestNothingIsHandedOverBehindAPayloadThatTheEndHasCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == "/p" {
				w.send(slices.Repeat([]*bayeux.Message{event("/a", `"behind"`)}, 200)...)
			}
			return false
		}
		c := start(t, dialers(board(f, polls)), WithExtension(slowly("/a", time.Second)), WithTimeouts(Timeouts{Close: time.Second}))
		var got []string
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		time.Sleep(time.Second)
		burst(f, "/a", 200, 0)
		synctest.Wait() // it is being handed over
		require.NoError(t, c.PublishFunc("/p", 1, func(error) {}))
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, c.Drain(ctx), context.DeadlineExceeded)
		for m := range sub.Messages(t.Context()) {
			got = append(got, string(m.Data))
		}
		assert.Equal(t, prefix(len(got)), got)
		<-c.Done()
	})
}
