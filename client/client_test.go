package client

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// take reads n messages' data.
func take(ctx context.Context, s *Subscription, n int) (got []string) {
	for m := range s.Messages(ctx) {
		if got = append(got, string(m.Data)); len(got) == n {
			break
		}
	}
	return got
}

func TestMessagesReachASubscriberInOrder(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			ctx := t.Context()
			require.NoError(t, c.Wait(ctx))
			sub, err := c.Subscribe(ctx, "/a/*")
			require.NoError(t, err)
			for i := range 100 {
				require.NoError(t, c.Publish(ctx, "/a/b", i))
			}
			for i, got := range take(ctx, sub, 100) {
				assert.Equal(t, fmt.Sprint(i), got)
			}
			require.NoError(t, sub.Unsubscribe(ctx))
			assert.Equal(t, 0, f.subscribed("/a/*"))
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		})
	})
}

func TestAnIdleClientKeepsItsSession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			time.Sleep(time.Hour)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
			assert.InDelta(t, 181, f.count(bayeux.MetaConnect), 1)
		})
	})
}

func TestCloseTellsTheServer(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			require.NoError(t, c.Close())
			<-c.Done()
			assert.Equal(t, 1, f.count(bayeux.MetaDisconnect))
			assert.Equal(t, bayeux.Stopped, c.State())
			assert.NoError(t, c.Err())
			assert.ErrorIs(t, c.Publish(t.Context(), "/a", 1), ErrClosed)
			_, err := c.Subscribe(t.Context(), "/a")
			assert.ErrorIs(t, err, ErrClosed)
			assert.ErrorIs(t, c.Wait(t.Context()), ErrClosed)
		})
	})
}

// Also where a request before it is never answered, which the lane of all requests
// waits for over exchanges.
func TestCloseTellsTheServerWhateverItHasNotAnswered(t *testing.T) {
	for _, ch := range []string{"/x", bayeux.MetaSubscribe, bayeux.MetaUnsubscribe} {
		both(t, func(t *testing.T, f *fake, d *switchboard) {
			synctest.Test(t, func(t *testing.T) {
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel == ch {
						w.hang()
					}
					return m.Channel == ch
				}
				c := start(t, dialers(d))
				require.NoError(t, c.Wait(t.Context()))
				var asked sync.WaitGroup
				asked.Go(func() {
					switch ch {
					case "/x":
						c.Publish(t.Context(), ch, 1)
					default:
						if sub, err := c.Subscribe(t.Context(), "/a"); err == nil {
							sub.Unsubscribe(t.Context())
						}
					}
				})
				time.Sleep(time.Second)
				begin := time.Now()
				require.NoError(t, c.Close())
				<-c.Done()
				assert.LessOrEqual(t, time.Since(begin), 2*time.Second)
				assert.Equal(t, 1, f.count(bayeux.MetaDisconnect))
				asked.Wait()
			})
		})
	}
}

// A server that is down for an hour costs at most 126 attempts.
func TestBackoffIsCapped(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			d.set(errRefused)
			c := start(t, dialers(d))
			time.Sleep(time.Hour)
			synctest.Wait()
			assert.LessOrEqual(t, d.tries(), 126)
			assert.Greater(t, d.tries(), 100)
			d.set(nil)
			time.Sleep(40 * time.Second)
			assert.Equal(t, bayeux.Connected, c.State())
		})
	})
}

func TestASubscriptionOutlivesItsSession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			ctx := t.Context()
			var gaps []Gap
			sub, err := c.Subscribe(ctx, "/a", WithOnGap(func(g Gap) { gaps = append(gaps, g) }))
			require.NoError(t, err)
			time.Sleep(65 * time.Second)
			f.forget()
			d.cut()
			time.Sleep(3 * time.Second)
			assert.Equal(t, 1, f.subscribed("/a"))
			assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(ctx, sub, 1))
			assert.Len(t, gaps, 1)
		})
	})
}

func TestABreakKeepsTheSession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			ctx := t.Context()
			sub, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			time.Sleep(65 * time.Second)
			d.cut()
			time.Sleep(3 * time.Second)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
			assert.EqualValues(t, 1, c.Stats().Reconnects)
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(ctx, sub, 1))
		})
	})
}

func TestWaitSaysWhatHasFailed(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			d.set(errRefused)
			c := start(t, dialers(d))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := c.Wait(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorIs(t, err, errRefused)
			d.set(nil)
			require.NoError(t, c.Wait(t.Context()))
		})
	})
}

// The first transport has failed, the second hangs: Wait and Dial tell of the first.
func TestWaitAndDialSayWhatHasFailedInMidAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stream, poll := pair()
		stream.set(errNoUpgrade)
		poll.hangs = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Dial(ctx, testURL, WithTransports(dialers(stream, poll)...))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, transport.ErrUnsupported)
	})
}

// What had arrived by the end of Drain reaches also the reader of a Chan.
func TestDrainLeavesMessagesToAChan(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			sub, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			messages := sub.Chan(t.Context())
			for i := range 5 {
				f.publish("/a", fmt.Sprint(i))
			}
			time.Sleep(time.Second)
			require.NoError(t, c.Drain(t.Context()))
			var got []string
			for m := range messages {
				got = append(got, string(m.Data))
			}
			assert.Equal(t, "0 1 2 3 4", strings.Join(got, " "))
		})
	})
}

// What a Chan has taken, and nobody from it, is still there for who reads on.
func TestWhatAChanHasNotHandedOverStaysAlsoInASubscriptionThatHasEnded(t *testing.T) {
	for name, end := range map[string]func(c *Client, s *Subscription){
		"drained": func(c *Client, _ *Subscription) { assert.NoError(t, c.Drain(t.Context())) },
		"refused": func(_ *Client, s *Subscription) { s.fail(errRefused, true) },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					c := start(t, dialers(d))
					sub, err := c.Subscribe(t.Context(), "/a")
					require.NoError(t, err)
					ctx, cancel := context.WithCancel(t.Context())
					messages := sub.Chan(ctx)
					for i := range 5 {
						f.publish("/a", fmt.Sprint(i))
					}
					assert.Equal(t, "0", string((<-messages).Data))
					time.Sleep(time.Second)
					end(c, sub)
					cancel()
					synctest.Wait() // it has seen that
					_, open := <-messages
					assert.False(t, open)
					assert.Equal(t, []string{"1", "2", "3", "4"}, take(t.Context(), sub, 4))
					assert.Zero(t, c.Stats().WaitingBytes)
				})
			})
		})
	}
}

// A server that is away is not waited for to say goodbye.
func TestCloseWithoutAServerIsQuick(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			d.set(&net.OpError{Op: "dial", Err: errRefused})
			d.cut()
			synctest.Wait()
			began := time.Now()
			c.Close()
			assert.Zero(t, time.Since(began))
		})
	})
}
