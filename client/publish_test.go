package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// received lists what the fake was sent on ch, in order.
func (f *fake) received(ch string) (data []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ms := range f.payloads {
		for _, m := range ms {
			if m.Channel == ch {
				data = append(data, string(m.Data))
			}
		}
	}
	return data
}

func TestWhatDataIsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c, ctx := start(t, dialers(board(f, streams))), t.Context()
		for _, v := range []any{nil, 0, false, "", json.RawMessage(` {"a" : 1}`), []byte(`[1]`), "</x>", map[string]int{"a": 1}} {
			require.NoError(t, c.Publish(ctx, "/a", v))
		}
		assert.Equal(t, []string{"null", "0", "false", `""`, `{"a" : 1}`, "[1]", `"</x>"`, `{"a":1}`}, trimmed(f.received("/a")))
		assert.Error(t, c.Publish(ctx, "/a", []byte("{")))
		assert.Error(t, c.Publish(ctx, "/a", func() {}))
		for _, ch := range []string{"", "a", "/a/*", "/meta/connect", "/a//b"} {
			assert.Error(t, c.Publish(ctx, ch, 1), ch)
			assert.Error(t, c.PublishFunc(ch, 1, nil), ch)
		}
	})
}

func trimmed(in []string) (out []string) {
	for _, s := range in {
		out = append(out, strings.TrimSpace(s))
	}
	return out
}

func TestAPublishWaitsForASession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			d.set(errRefused)
			c := start(t, dialers(d))
			done := make(chan error, 1)
			go func() { done <- c.Publish(t.Context(), "/a", 1) }()
			time.Sleep(time.Minute)
			assert.Empty(t, done)
			d.set(nil)
			assert.NoError(t, <-done)
		})
	})
}

// A break leaves open whether the server took the message; the client says so,
// and does not send it again by itself.
func TestABreakLosesWhatWasSent(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == "/a" {
					d.cut()
				}
				return false
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			require.ErrorIs(t, c.Publish(t.Context(), "/a", 1), ErrLost)
			time.Sleep(5 * time.Second)
			assert.Equal(t, 1, f.count("/a"))
			require.NoError(t, c.Publish(t.Context(), "/b", 1))
		})
	})
}

func TestPublishRetrySendsAgainUnderTheSameID(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var ids []string
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == "/a" {
					if ids = append(ids, m.ID); len(ids) < 3 {
						d.cut()
					}
				}
				return false
			}
			c := start(t, dialers(d), WithPublishRetry(3, 2*time.Second))
			require.NoError(t, c.Wait(t.Context()))
			require.NoError(t, c.Publish(t.Context(), "/a", 1))
			require.Len(t, ids, 3)
			assert.Equal(t, ids[0], ids[1])
			assert.Equal(t, ids[0], ids[2])
		})
	})
}

// A publish that was refused because the session is unknown was not taken: it
// goes into the next session.
func TestAPublishMovesToTheNextSession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			time.Sleep(5 * time.Second)
			f.forget()
			require.NoError(t, c.Publish(t.Context(), "/a", 1))
			assert.Equal(t, 2, f.count("/a"))
			assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
		})
	})
}

func TestARefusedPublishIsTold(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = refuse("/a", 1, 1, bayeux.Message{Error: "403:/a:publish_denied"})
			c := start(t, dialers(d))
			err := c.Publish(t.Context(), "/a", 1)
			require.ErrorIs(t, err, bayeux.ErrDenied)
			assert.EqualError(t, err, "bayeux: /a: 403 publish_denied (/a)")
			require.NoError(t, c.Publish(t.Context(), "/a", 1))
		})
	})
}

// Whoever publishes in order is heard in order, also across breaks.
func TestPublishesKeepTheirOrder(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d), WithPublishRetry(10, 0))
			require.NoError(t, c.Wait(t.Context()))
			const n = 300
			var wg sync.WaitGroup
			var outcomes []int
			for i := range n {
				wg.Add(1)
				require.NoError(t, c.PublishFunc("/a", i, func(err error) {
					assert.NoError(t, err)
					outcomes = append(outcomes, i)
					wg.Done()
				}))
				if i%100 == 50 {
					time.Sleep(time.Millisecond)
					d.cut()
				}
			}
			wg.Wait()
			seen := -1
			for _, s := range f.received("/a") {
				var i int
				fmt.Sscan(s, &i)
				if i > seen {
					assert.Equal(t, seen+1, i)
					seen = i
				}
			}
			assert.Equal(t, n-1, seen)
			assert.Len(t, outcomes, n)
		})
	})
}

func TestABatchIsOnePayload(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			b := c.Batch()
			for i := range 50 {
				b.Publish("/a", i)
			}
			require.NoError(t, b.Send(t.Context()))
			sizes := f.sizes("/a")
			assert.Equal(t, []int{50}, sizes)
			b.Publish("/a", 1)
			b.Publish("/a/*", 1)
			assert.Error(t, b.Send(t.Context()))
			assert.NoError(t, b.Send(t.Context()), "empty again")
			assert.Len(t, f.received("/a"), 50, "nothing is sent if one is illegal")
		})
	})
}

// sizes are the numbers of messages in the payloads that have ch.
func (f *fake) sizes(ch string) (n []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ms := range f.payloads {
		if len(ms) > 0 && ms[0].Channel == ch {
			n = append(n, len(ms))
		}
	}
	return n
}

// What waits while a request is under way goes together, but never above the
// limit in bytes.
func TestWaitingPublishesAreBatchedByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == "/slow" {
				time.Sleep(time.Second)
			}
			return false
		}
		var biggest atomic.Int64
		c := start(t, dialers(board(f, polls)), WithLimits(Limits{SendBytes: 4 << 10}), WithHooks(Hooks{
			Sent: func(_ string, n, bytes int) { biggest.Store(max(biggest.Load(), int64(bytes))) },
		}))
		require.NoError(t, c.Wait(t.Context()))
		var wg sync.WaitGroup
		publish := func(ch string, v any) {
			wg.Go(func() { assert.NoError(t, c.Publish(t.Context(), ch, v)) })
			synctest.Wait()
		}
		publish("/slow", 1)
		for range 50 {
			publish("/a", strings.Repeat("x", 400))
		}
		wg.Wait()
		assert.LessOrEqual(t, biggest.Load(), int64(4<<10))
		assert.Len(t, f.received("/a"), 50)
		assert.Less(t, len(f.sizes("/a")), 15)
	})
}

// A server that takes one message at a time (docs/protocol.md §19) gets that.
func TestAServerMayRefuseBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, polls)
		c := start(t, []transport.Dialer{&picky{Dialer: d, f: f}})
		require.NoError(t, c.Wait(t.Context()))
		b := c.Batch()
		for i := range 5 {
			b.Publish("/a", i)
		}
		require.NoError(t, b.Send(t.Context()))
		assert.Equal(t, []string{"0", "1", "2", "3", "4"}, f.received("/a"))
	})
}

func TestCloseSettlesEverything(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool { return m.Channel == "/hang" }
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			var errs []error
			for range 3 {
				require.NoError(t, c.PublishFunc("/hang", 1, func(err error) { errs = append(errs, err) }))
			}
			time.Sleep(time.Second)
			require.NoError(t, c.Close())
			<-c.Done()
			require.Len(t, errs, 3)
			for _, err := range errs {
				assert.True(t, errors.Is(err, ErrClosed) || errors.Is(err, ErrLost), "%v", err)
			}
		})
	})
}

func TestDrainSendsEverythingThenEnds(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == "/a" {
					time.Sleep(100 * time.Millisecond)
				}
				return false
			}
			c := start(t, dialers(d))
			sub, err := c.Subscribe(t.Context(), "/b")
			require.NoError(t, err)
			var handled atomic.Int32
			handler, err := c.SubscribeFunc(t.Context(), "/b", func(ctx context.Context, m *bayeux.Message) error {
				time.Sleep(time.Second)
				assert.NoError(t, ctx.Err())
				handled.Add(1)
				return nil
			})
			require.NoError(t, err)
			for range 5 {
				f.publish("/b", "1")
			}
			for i := range 20 {
				require.NoError(t, c.PublishFunc("/a", i, func(err error) { assert.NoError(t, err) }))
			}
			require.NoError(t, c.Drain(t.Context()))
			assert.Len(t, f.received("/a"), 20)
			assert.Equal(t, 1, f.count(bayeux.MetaDisconnect))
			assert.ErrorIs(t, c.Publish(t.Context(), "/a", 1), ErrClosed)
			<-c.Done()
			assert.EqualValues(t, 5, handled.Load())
			<-handler.Done()
			assert.Len(t, take(t.Context(), sub, 6), 5)
			assert.NoError(t, c.Err())
		})
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := board(newFake(), streams)
		d.set(errRefused)
		c := start(t, dialers(d))
		require.NoError(t, c.PublishFunc("/a", 1, nil))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, c.Drain(ctx), context.DeadlineExceeded)
		<-c.Done()
	})
}

func TestACallReturnsItsResultOrItsRefusal(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				ack := &bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded}
				result := &bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded, Data: m.Data}
				other := &bayeux.Message{Channel: m.Channel, ID: "other", Data: []byte(`"event"`)}
				switch m.Channel {
				case "/service/early":
					w.send(other, result, ack)
				case "/service/late":
					w.send(ack, other, result)
				case "/service/fails":
					result.Outcome, result.Data = bayeux.Failed, []byte(`{"class":"x"}`)
					w.send(ack, result)
				case "/service/refused":
					ack.Outcome, ack.Error = bayeux.Failed, "403::denied"
					w.send(ack)
				case "/service/never":
					w.send(ack)
				case "/service/mute":
				default:
					return false
				}
				return true
			}
			c, ctx := start(t, dialers(d)), t.Context()
			events, err := c.Listen("/service/*")
			require.NoError(t, err)
			for _, ch := range []string{"/service/early", "/service/late"} {
				got, err := Call[map[string]int](ctx, c, ch, map[string]int{"a": 1})
				require.NoError(t, err)
				assert.Equal(t, map[string]int{"a": 1}, got)
			}
			assert.Equal(t, []string{`"event"`, `"event"`}, take(ctx, events, 2))
			_, err = c.Call(ctx, "/service/fails", 1)
			refusal, ok := refusalOf(err)
			require.True(t, ok)
			assert.JSONEq(t, `{"class":"x"}`, string(refusal.Data))
			_, err = c.Call(ctx, "/service/refused", 1)
			assert.ErrorIs(t, err, bayeux.ErrDenied)
			began := time.Now()
			_, err = c.Call(ctx, "/service/never", 1)
			assert.ErrorIs(t, err, bayeux.ErrTimeout)
			assert.NotErrorIs(t, err, ErrLost)
			assert.EqualError(t, err, "client: call of /service/never: accepted, but no result within 10s: bayeux: no reply in time")
			assert.LessOrEqual(t, time.Since(began), 10*time.Second)
			_, err = c.Call(ctx, "/service/mute", 1)
			assert.ErrorIs(t, err, ErrLost, "who knows whether it was taken")
			began = time.Now()
			_, err = c.Call(ctx, "/a", 1)
			assert.EqualError(t, err, "client: call of a channel that is no service: /a")
			assert.Zero(t, time.Since(began))
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err = c.Call(short, "/service/never", 1)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
}

// A service may take longer than a reply may stay out, if its caller gives it the
// time.
func TestACallWaitsUntilItsDeadline(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel != "/service/slow" {
					return false
				}
				answer := func() {
					w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded, Data: m.Data})
				}
				if w.conn.Peer().Once {
					time.Sleep(25 * time.Second)
					answer()
				} else {
					time.AfterFunc(25*time.Second, answer)
				}
				return true
			}
			c := start(t, dialers(d))
			_, err := c.Subscribe(t.Context(), "/a", WithOnGap(func(g Gap) { t.Errorf("gap %+v", g) }))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got, err := Call[int](ctx, c, "/service/slow", 7)
			require.NoError(t, err)
			assert.Equal(t, 7, got)
			assert.Zero(t, c.Stats().Reconnects)
		})
	})
}

// What was sent before it, and may stay out for longer, gives a call no more time.
func TestACallsPatienceIsItsOwn(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel != "/service/never" {
					return false
				}
				w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded})
				return true
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Publish(t.Context(), "/a", 1))
			began := time.Now()
			_, err := c.Call(t.Context(), "/service/never", 1)
			assert.ErrorIs(t, err, bayeux.ErrTimeout)
			assert.Equal(t, 10*time.Second, time.Since(began))
		})
	})
}

// A call that nobody waits for any more holds nothing up.
func TestACallThatEndsLeavesTheWayFree(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool { return m.Channel == "/service/mute" }
			c := start(t, dialers(d))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			time.AfterFunc(25*time.Second, cancel)
			_, err := c.Call(ctx, "/service/mute", 1)
			require.ErrorIs(t, err, context.Canceled)
			began := time.Now()
			require.NoError(t, c.Publish(t.Context(), "/a", 1))
			assert.Zero(t, time.Since(began))
		})
	})
}

// A call that is not sent gives the others of its payload no more time.
func TestACallThatIsDeletedGivesOthersNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == "/slow" {
				time.Sleep(time.Second)
			}
			return m.Channel == "/mute"
		}
		c, ctx := start(t, dialers(board(f, polls)), WithExtension(Extension{
			Channels: []string{"/service/deleted"},
			Outgoing: func(context.Context, *bayeux.Message) error { return errors.New("no") },
		})), t.Context()
		require.NoError(t, c.Wait(ctx))
		require.NoError(t, c.PublishFunc("/slow", 1, nil))
		synctest.Wait()
		patient, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		go c.Call(patient, "/service/deleted", 1)
		began := time.Now()
		require.ErrorIs(t, c.Publish(ctx, "/mute", 1), ErrLost)
		assert.Equal(t, 11*time.Second, time.Since(began))
	})
}

// A call may have all the time in the world, but not over a dead network.
func TestACallIsLostWithTheNetwork(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var silent atomic.Bool
			f.first = func(*wire, *bayeux.Message) bool { return silent.Load() }
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			synctest.Wait()
			silent.Store(true) // with a connect held, which the fake still answers
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			began := time.Now()
			_, err := c.Call(ctx, "/service/mute", 1)
			require.ErrorIs(t, err, ErrLost)
			assert.InDelta(t, 50, time.Since(began).Seconds(), 1, "20 s hold, then 20 s and 10 s for the next")
		})
	})
}

// Another server, or another transport, may take what the one before did not.
func TestBatchesAreTriedAgainInANewSessionAndOverABetterTransport(t *testing.T) {
	for name, next := range map[string]func(f *fake, poll *picky, stream *switchboard){
		"new session": func(f *fake, poll *picky, _ *switchboard) {
			poll.mended.Store(true)
			f.expel()
		},
		"better transport": func(_ *fake, _ *picky, stream *switchboard) { stream.set(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, stream, poll := pair()
				stream.set(errNoUpgrade)
				choosy := &picky{Dialer: poll, f: f}
				c := start(t, []transport.Dialer{stream, choosy}, WithUpgradeAfter(time.Minute))
				require.NoError(t, c.Wait(t.Context()))
				send := func() {
					b := c.Batch()
					for i := range 5 {
						b.Publish("/a", i)
					}
					require.NoError(t, b.Send(t.Context()))
				}
				send()
				next(f, choosy, stream)
				time.Sleep(10 * time.Minute)
				require.NoError(t, c.Wait(t.Context()))
				send()
				f.mu.Lock()
				defer f.mu.Unlock()
				assert.Condition(t, func() bool {
					for _, p := range f.payloads {
						if len(p) == 5 {
							return true
						}
					}
					return false
				}, "five messages in one payload")
			})
		})
	}
}
