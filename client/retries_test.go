package client

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Retry-After is a stranger's wish: it pauses for an hour at most.
func TestRetryAfterIsBounded(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			d.set(&transport.Error{Type: "x", Op: "dial", Status: 503, RetryAfter: 1000 * time.Hour})
			c := start(t, dialers(d))
			time.Sleep(time.Minute)
			d.set(nil)
			time.Sleep(time.Hour)
			assert.Equal(t, bayeux.Connected, c.State())
		})
	})
}

func TestASubscribeIsRetriedAsOftenAsAllowed(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			retry := &bayeux.Advice{Reconnect: bayeux.Retry}
			f.first = refuse(bayeux.MetaSubscribe, 1, 100, bayeux.Message{Error: "503::later", Advice: retry})
			c := start(t, dialers(d), WithMaxRetries(3))
			_, err := c.Subscribe(t.Context(), "/a")
			assert.ErrorContains(t, err, "503 later")
			assert.Equal(t, 4, f.count(bayeux.MetaSubscribe))
			assert.Equal(t, bayeux.Connected, c.State())
		})
	})
}

// A server that answers only a subscribe with errors is asked with pauses, and not
// for ever.
func TestAFailingExchangeIsNotRepeatedAtOnce(t *testing.T) {
	for name, fail := range map[string]func(w *wire){
		"broken": func(w *wire) { w.conn.Close(transport.Internal) },
		"empty":  func(w *wire) { w.conn.Send(&transport.Payload{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel == bayeux.MetaSubscribe {
						fail(w)
					}
					return m.Channel == bayeux.MetaSubscribe
				}
				c := start(t, dialers(board(f, polls)))
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				_, err := c.Subscribe(ctx, "/a")
				assert.ErrorIs(t, err, ErrLost)
				assert.GreaterOrEqual(t, f.count(bayeux.MetaSubscribe), maxBreaks)
				assert.LessOrEqual(t, f.count(bayeux.MetaSubscribe), 2*maxBreaks)
				assert.Greater(t, time.Since(began), time.Minute)
			})
		})
	}
}

// A refused subscribe may advise another session, and gets it.
func TestASubscribeIsRepeatedInANewSessionIfThatIsTheAdvice(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			again := &bayeux.Advice{Reconnect: bayeux.HandshakeAgain}
			f.first = refuse(bayeux.MetaSubscribe, 1, 2, bayeux.Message{Error: "500::busy", Advice: again})
			c := start(t, dialers(d), WithMaxRetries(2))
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			assert.Equal(t, 3, f.count(bayeux.MetaHandshake))
			assert.Equal(t, 3, f.count(bayeux.MetaSubscribe))
		})
	})
}

// With WithMaxRetries the server says what is worth another attempt.
func TestMaxRetriesObeysTheAdvice(t *testing.T) {
	for _, ch := range []string{bayeux.MetaHandshake, bayeux.MetaConnect} {
		for name, tt := range map[string]struct {
			reply bayeux.Message
			final bool
		}{
			"retry":       {bayeux.Message{Error: "500::x", Advice: &bayeux.Advice{Reconnect: bayeux.Retry}}, false},
			"handshake":   {bayeux.Message{Error: "500::x", Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain}}, false},
			"none":        {bayeux.Message{Error: "500::x", Advice: &bayeux.Advice{Reconnect: bayeux.NoReconnect}}, true},
			"other":       {bayeux.Message{Error: "500::x", Advice: &bayeux.Advice{Reconnect: "wait"}}, true},
			"no advice":   {bayeux.Message{Error: "500::x"}, true},
			"unknown 402": {bayeux.Message{Error: "402::session_unknown"}, false},
		} {
			t.Run(ch+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake()
					refused := refuse(ch, 1, 2, tt.reply)
					f.first = func(w *wire, m *bayeux.Message) bool {
						time.Sleep(time.Millisecond) // until somebody listens
						return refused(w, m)
					}
					c := start(t, dialers(board(f, polls)), WithMaxRetries(5))
					events := c.Events(t.Context())
					time.Sleep(time.Minute)
					if !tt.final {
						assert.Equal(t, bayeux.Connected, c.State())
						return
					}
					<-c.Done()
					var last []Event
					for e := range events {
						last = append(last, e)
					}
					require.Greater(t, len(last), 1)
					assert.Equal(t, Failure{c.Err()}, last[len(last)-2], "told before the end")
					assert.Equal(t, bayeux.Stopped, last[len(last)-1].(Change).To)
				})
			})
		}
	}
}

// A server that was never reached is tried as often as one that was lost.
func TestMaxRetriesCountsFromTheFirstAttempt(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			d.set(errRefused)
			c := start(t, dialers(d), WithMaxRetries(3))
			time.Sleep(time.Hour)
			assert.ErrorIs(t, c.Err(), errRefused)
			assert.ErrorContains(t, c.Err(), "gave up after 4 attempts")
			assert.Equal(t, 4, d.tries())
			assert.Equal(t, bayeux.Stopped, c.State())
		})
	})
}

// Sessions that end as soon as they have begun are failed attempts, too.
func TestMaxRetriesCountsSessionsThatDoNotLast(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = refuse(bayeux.MetaConnect, 1, 100, bayeux.Message{Error: "402::session_unknown"})
			c := start(t, dialers(d), WithMaxRetries(3))
			time.Sleep(time.Hour)
			assert.ErrorIs(t, c.Err(), bayeux.ErrUnknownSession)
			assert.ErrorContains(t, c.Err(), "gave up after 4 attempts")
			assert.Equal(t, 4, f.count(bayeux.MetaHandshake))
		})
	})
}

// A connect that is held says nothing of whether another connection can be had: what
// found none is tried again soon, in its order, and somebody is told.
func TestWhatFoundNoConnectionIsTriedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, polls)
		c := start(t, dialers(d))
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		var failures []error
		go func() {
			for e := range c.Events(t.Context()) {
				if failed, ok := e.(Failure); ok {
					failures = append(failures, failed.Err)
				}
			}
		}()
		synctest.Wait()
		began := time.Now()
		d.set(&net.OpError{Op: "dial", Err: errRefused})
		for i := range 3 {
			require.NoError(t, c.PublishFunc("/a", i, nil))
		}
		synctest.Wait()
		d.set(nil)
		assert.Equal(t, []string{"0", "1", "2"}, take(t.Context(), sub, 3))
		assert.Less(t, time.Since(began), 2*time.Second)
		require.Len(t, failures, 1)
		assert.ErrorIs(t, failures[0], errRefused)
		assert.Zero(t, c.Stats().Reconnects)
	})
}

// While no connection can be had, requests try for one with growing pauses.
func TestWhatFindsNoConnectionPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.hold = time.Hour
		d := board(f, polls)
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Second)
		d.set(&net.OpError{Op: "dial", Err: errRefused})
		require.NoError(t, c.PublishFunc("/a", 1, nil))
		before := d.tries()
		time.Sleep(30 * time.Minute)
		assert.InDelta(t, 63, d.tries()-before, 5)
		assert.Equal(t, bayeux.Connected, c.State())
		d.set(nil)
		time.Sleep(31 * time.Second)
		assert.Equal(t, 1, f.count("/a"))
	})
}

// What an HTTP proxy would have carried is tried again as if there were none: nothing
// has been sent while it cannot be reached.
func TestWhatFindsNoProxyWasNotSent(t *testing.T) {
	away := httptest.NewServer(nil)
	proxy, err := url.Parse(away.URL)
	require.NoError(t, err)
	away.Close()
	for _, target := range []string{"http://cometd.test/", "https://cometd.test/"} {
		for _, scheme := range []string{"http", "socks5"} {
			proxy.Scheme = scheme
			through := &http.Transport{Proxy: http.ProxyURL(proxy)}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, http.NoBody)
			require.NoError(t, err)
			resp, err := through.RoundTrip(r)
			if err == nil {
				resp.Body.Close()
			}
			assert.True(t, neverSent(err), "%s to %s: %v", scheme, target, err)
		}
	}
}

// The server says for each message that it has no such session. They go to the
// next one in the order in which they were published.
func TestWhatIsRefusedWithItsSessionKeepsItsOrder(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			const n = 20
			c := start(t, dialers(d), WithPublishRetry(5, time.Second)) // the replies of a stream may be lost with it
			sub, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			f.forget()
			for i := range n {
				require.NoError(t, c.PublishFunc("/a", i, func(err error) { assert.NoError(t, err) }))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got := take(ctx, sub, n)
			require.Len(t, got, n)
			for i := range n {
				assert.Equal(t, strconv.Itoa(i), got[i])
			}
		})
	})
}

// Time passes between two messages of which no answer comes.
func TestWhatIsSentAgainAfterATimeKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var swallowed atomic.Int32
		f.first = func(_ *wire, m *bayeux.Message) bool { return m.Channel == "/a" && swallowed.Add(1) <= 3 }
		c := start(t, dialers(board(f, streams)), WithPublishRetry(5, 3*time.Second))
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		for i := range 3 {
			require.NoError(t, c.PublishFunc("/a", i, nil))
			time.Sleep(time.Second)
		}
		assert.Equal(t, []string{"0", "1", "2"}, take(t.Context(), sub, 3))
	})
}

// Each of these connections has worked for longer than a failure lasts.
func TestBreaksAfterALongTimeAreNotInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.hold = time.Minute
		d := board(f, streams)
		c := start(t, dialers(d), WithMaxRetries(2))
		require.NoError(t, c.Wait(t.Context()))
		for range 8 {
			time.Sleep(50 * time.Second)
			d.cut()
		}
		time.Sleep(5 * time.Second)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}

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
