package client

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// A server that takes no subscribe and ends every session does not collect
// requests to subscribe again.
func TestRenewalsDoNotPileUp(t *testing.T) {
	for name, refusal := range map[string]string{"unanswered": "", "refused for now": "500::later"} {
		both(t, func(t *testing.T, f *fake, d *switchboard) {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bad := false
					f.first = func(w *wire, m *bayeux.Message) bool {
						f.mu.Lock()
						now := bad
						f.mu.Unlock()
						if !now || m.Channel != bayeux.MetaSubscribe {
							return false
						}
						if refusal == "" {
							w.hang()
							return true
						}
						w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: refusal, Subscription: m.Subscription})
						return true
					}
					c := start(t, dialers(d))
					_, err := c.Subscribe(t.Context(), "/a")
					require.NoError(t, err)
					f.mu.Lock()
					bad = true
					f.mu.Unlock()
					for range 30 {
						f.forget()
						time.Sleep(time.Minute)
					}
					f.forget()
					time.Sleep(2 * time.Second)
					before := f.count(bayeux.MetaSubscribe)
					time.Sleep(time.Minute)
					assert.LessOrEqual(t, f.count(bayeux.MetaSubscribe)-before, 10)
				})
			})
		})
	}
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

// A repeated subscribe that the server refuses is asked for as often as a first
// one, in the same session or in another.
func TestSubscribingAgainIsRetriedAsOftenAsAllowed(t *testing.T) {
	for _, a := range []*bayeux.Advice{{Reconnect: bayeux.Retry}, nil, {Reconnect: bayeux.HandshakeAgain}} {
		both(t, func(t *testing.T, f *fake, d *switchboard) {
			synctest.Test(t, func(t *testing.T) {
				f.hold = time.Second
				f.first = refuse(bayeux.MetaSubscribe, 2, 100, bayeux.Message{Error: "500::busy", Advice: a})
				c := start(t, dialers(d), WithMaxRetries(3))
				sub, err := c.Subscribe(t.Context(), "/a")
				require.NoError(t, err)
				time.Sleep(time.Minute)
				f.forget()
				<-sub.Done()
				assert.ErrorContains(t, sub.Err(), "500 busy")
				assert.Equal(t, 5, f.count(bayeux.MetaSubscribe))
				time.Sleep(time.Minute)
				assert.Equal(t, bayeux.Connected, c.State())
			})
		})
	}
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

// Where a repeated subscribe is refused with the advice to handshake, the
// subscription goes on in the session after; what one loss has cost is not held
// against it in the next.
func TestSubscribingAgainIsRepeatedInANewSessionIfThatIsTheAdvice(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.hold = time.Second
			again := bayeux.Message{Error: "500::busy", Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain}}
			first, second := refuse(bayeux.MetaSubscribe, 2, 3, again), refuse(bayeux.MetaSubscribe, 3, 4, again)
			f.first = func(w *wire, m *bayeux.Message) bool { return first(w, m) || second(w, m) }
			c := start(t, dialers(d), WithMaxRetries(3))
			sub, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			for i := range 2 {
				time.Sleep(time.Minute)
				f.forget()
				time.Sleep(time.Minute)
				require.NoError(t, sub.Err())
				assert.Equal(t, 4+3*i, f.count(bayeux.MetaHandshake))
				assert.Equal(t, 4+3*i, f.count(bayeux.MetaSubscribe))
			}
			f.publish("/a", "1")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			assert.Equal(t, []string{"1"}, take(ctx, sub, 1))
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
