package client

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
)

// A server in trouble may end one session after the other as they begin: what is
// refused for that was not taken, and the next session has it.
func TestWhatReachesAServerAfterItsSessionGoesToTheNextOnes(t *testing.T) {
	for _, kind := range []string{streams, polls} {
		for name, ask := range map[string]struct {
			channel string
			ask     func(ctx context.Context, c *Client) error
		}{
			"subscribe": {bayeux.MetaSubscribe, func(ctx context.Context, c *Client) error { _, err := c.Subscribe(ctx, "/a"); return err }},
			"publish":   {"/a", func(ctx context.Context, c *Client) error { return c.Publish(ctx, "/a", 1) }},
		} {
			for _, gone := range []int{maxGoneSessions - 1, maxGoneSessions} {
				t.Run(kind+name+strconv.Itoa(gone), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := newFake()
						f.first = refuse(ask.channel, 1, gone, bayeux.Message{Error: "402::session_unknown"})
						c := start(t, dialers(board(f, kind)))
						err := ask.ask(t.Context(), c)
						if gone == maxGoneSessions {
							assert.ErrorIs(t, err, bayeux.ErrUnknownSession, "a server that always says so is not asked for ever")
						} else {
							assert.NoError(t, err)
						}
						assert.Equal(t, maxGoneSessions, f.count(ask.channel))
						time.Sleep(time.Minute)
						assert.Equal(t, 1+gone, f.count(bayeux.MetaHandshake), "a new session each time")
						assert.Equal(t, bayeux.Connected, c.State())
					})
				})
			}
		}
	}
}

// Until the server has taken an unsubscribe it sends what is for nobody any more.
// A new subscription to the channel that heard it would then miss what comes
// before the server has taken its own request.
func TestANewSubscriptionHearsNothingThatWasForTheOneBefore(t *testing.T) {
	for name, answers := range map[string]func(w *wire, m *bayeux.Message){
		"answered": func(w *wire, m *bayeux.Message) { w.handle(m) },
		"never":    func(*wire, *bayeux.Message) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				hold := time.Second
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel != bayeux.MetaUnsubscribe {
						return false
					}
					time.AfterFunc(hold, func() { answers(w, m) })
					return true
				}
				c := start(t, dialers(board(f, streams)))
				before, err := c.Subscribe(t.Context(), "/a")
				require.NoError(t, err)
				soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				assert.ErrorIs(t, before.Unsubscribe(soon), context.DeadlineExceeded)
				_, err = c.Subscribe(soon, "/a")
				assert.ErrorIs(t, err, context.DeadlineExceeded, "it can be given up meanwhile")

				began := time.Now()
				subscribed := make(chan *Subscription)
				go func() {
					s, err := c.Subscribe(t.Context(), "/a")
					assert.NoError(t, err)
					subscribed <- s
				}()
				synctest.Wait()
				f.publish("/a", "1")
				s := <-subscribed
				if name == "never" {
					assert.Equal(t, 10*time.Second, time.Since(began), "Timeouts.NetworkDelay")
				} else {
					assert.Less(t, time.Since(began), hold)
				}
				f.publish("/a", "2")
				assert.Equal(t, []string{"2"}, take(t.Context(), s, 1))
				assert.Equal(t, 2, f.count(bayeux.MetaSubscribe))
			})
		})
	}
}
