package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// payloadOf is one of n equal messages.
func payloadOf(n int, message string) *transport.Payload {
	return &transport.Payload{Messages: slices.Repeat([][]byte{[]byte(message)}, n)}
}

// instead has the fake answer the nth message to a channel with p, and no more.
func (f *fake) instead(ch string, nth int, p *transport.Payload) {
	f.first = func(w *wire, m *bayeux.Message) bool {
		if m.Channel != ch || f.count(ch) != nth {
			return false
		}
		w.conn.Send(p)
		return true
	}
}

// Three bytes each on the wire, and less when compressed, are hundreds in memory.
func TestTooManyMessagesInAPayloadNameTheLimit(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.instead("/b", 1, payloadOf(65537, "{}"))
			c, ctx := start(t, dialers(d)), t.Context()
			s, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			err = c.Publish(ctx, "/b", 1)
			assert.ErrorIs(t, err, transport.ErrTooLarge)
			assert.ErrorContains(t, err, "65536 messages")
			time.Sleep(5 * time.Second)
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(ctx, s, 1))
		})
	})
}

func TestManualRefusesTooManyMessages(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.instead(bayeux.MetaSubscribe, 1, payloadOf(65537, "{}"))
			m, err := NewManual(testURL, WithTransports(d))
			require.NoError(t, err)
			defer m.Close()
			_, err = m.Handshake(t.Context())
			require.NoError(t, err)
			got, err := m.Subscribe(t.Context(), "/a")
			assert.ErrorIs(t, err, transport.ErrTooLarge)
			assert.ErrorContains(t, err, "65536 messages")
			assert.Empty(t, got)
		})
	})
}

func TestManualCollectsOnlySoMuchBeforeAReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		event := payloadOf(1, `{"channel":"/b","data":"`+strings.Repeat("x", 1000)+`"}`)
		f.first = func(w *wire, m *bayeux.Message) bool {
			for range 100 {
				if m.Channel == bayeux.MetaSubscribe && w.conn.Send(event) != nil {
					break
				}
			}
			return false
		}
		m, err := NewManual(testURL, WithTransports(board(f, streams)), WithLimits(Limits{QueueBytes: 50_000}))
		require.NoError(t, err)
		defer m.Close()
		_, err = m.Handshake(t.Context())
		require.NoError(t, err)
		got, err := m.Subscribe(t.Context(), "/a")
		assert.ErrorIs(t, err, transport.ErrTooLarge)
		assert.ErrorContains(t, err, "50000 bytes before the reply to /meta/subscribe")
		assert.Len(t, got, 40)
	})
}

// What a long payload still has to say keeps nobody who closes.
func TestCloseWaitsForNoLongPayload(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.instead(bayeux.MetaConnect, 2, payloadOf(60000, `{"channel":"/a","data":1}`))
			var seen atomic.Int64
			slow := Extension{Channels: []string{"/a"}, Incoming: func(context.Context, *bayeux.Message) error {
				seen.Add(1)
				time.Sleep(10 * time.Millisecond)
				return nil
			}}
			c := start(t, dialers(d), WithExtension(slow))
			time.Sleep(time.Second)
			require.NotZero(t, seen.Load())
			began := time.Now()
			c.Close()
			assert.Less(t, time.Since(began), 4*time.Second, "the last disconnect's 2 s, and a little")
		})
	})
}

// Nobody can take from the queue of a subscription whose Subscribe has not
// returned, and the reply is behind what is in it (docs/protocol.md §3.3).
func TestEventsBeforeTheReplyDoNotKeepSubscribe(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			const events, most = 3000, 400 << 10
			f.first = func(w *wire, m *bayeux.Message) bool {
				for i := range events {
					if m.Channel != bayeux.MetaSubscribe {
						break
					}
					w.send(&bayeux.Message{Channel: "/a", ID: fmt.Sprint(i), Data: []byte(`"` + strings.Repeat("x", 500) + `"`)})
				}
				return false
			}
			c := start(t, dialers(d), WithLimits(Limits{QueueBytes: most}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var lost int
			s, err := c.Subscribe(ctx, "/a", WithOnGap(func(g Gap) {
				lost = g.Dropped
				assert.Equal(t, transport.Overflow, g.Reason)
				assert.Equal(t, "/a", g.Channel)
			}))
			require.NoError(t, err)
			assert.LessOrEqual(t, c.Stats().WaitingBytes, most/2)
			var got []string
			for m := range s.Messages(ctx) {
				if got = append(got, m.ID); m.ID == fmt.Sprint(events-1) {
					break
				}
			}
			assert.NotZero(t, lost)
			assert.Greater(t, len(got), 200, "no more is given up than must be")
			assert.Equal(t, events, lost+len(got))
			assert.Equal(t, fmt.Sprint(lost), got[0])
			assert.EqualValues(t, lost, c.Stats().Dropped)
		})
	})
}

// A channel of a megabyte has half a million patterns, and their names together
// hundreds of gigabytes.
func TestChannelsWithVeryManySegmentsAreCheap(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		c, ctx := start(t, dialers(d)), t.Context()
		long := strings.Repeat("/a", 500_000)
		deep, err := c.Subscribe(ctx, "/a/**")
		require.NoError(t, err)
		_, err = c.Subscribe(ctx, "/b/**")
		require.NoError(t, err)
		local, err := c.Listen("/**") // which also hears the replies on meta channels
		require.NoError(t, err)
		exact, err := c.Listen(long)
		require.NoError(t, err)
		f.publish(long, "1")
		f.publish("/a/b", "2")
		assert.Equal(t, []string{"1", "2"}, take(ctx, deep, 2))
		var heard []string
		for m := range local.Messages(ctx) {
			if m.Data == nil {
				continue
			}
			if heard = append(heard, string(m.Data)); len(heard) == 2 {
				break
			}
		}
		assert.Equal(t, []string{"1", "2"}, heard)
		assert.Equal(t, []string{"1"}, take(ctx, exact, 1))
	})
}

func TestLongChannelsAreNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, dialers(board(newFake(), streams)))
		r := router{c: c}
		for i := range 100 {
			assert.True(t, r.find(fmt.Appendf(nil, "/%d/%s", i, strings.Repeat("x", longChannel))).deaf())
			assert.True(t, r.find(fmt.Appendf(nil, "/%d", i)).deaf())
		}
		assert.Len(t, r.known, 100)
	})
}

// What counts is the whole message, not its data alone.
func TestQueuesAreBoundedWhateverFieldIsLarge(t *testing.T) {
	big := strings.Repeat("x", 1000)
	for name, fields := range map[string]string{
		"ext":   `"ext":{"a":"` + big + `"}`,
		"names": `"ext":{"` + big + `":1}`,
		"extra": `"other":"` + big + `"`,
		"id":    `"id":"` + big + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				c := start(t, dialers(board(f, streams)), WithLimits(Limits{QueueBytes: 100 << 10}))
				s, err := c.Subscribe(t.Context(), "/a")
				require.NoError(t, err)
				go func() {
					for range 200 {
						f.publishRaw(`{"channel":"/a","data":1,` + fields + `}`)
					}
				}()
				time.Sleep(time.Second)
				assert.True(t, c.flow.paused())
				assert.LessOrEqual(t, s.queue.len(), 100)
				assert.Len(t, take(t.Context(), s, 200), 200)
				assert.Zero(t, c.Stats().WaitingBytes)
			})
		})
	}
}
