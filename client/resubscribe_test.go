package client

import (
	"bytes"
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

// A channel whose repeated subscribes are all answered as if the session were gone
// costs its own subscriptions, and not the client.
func TestAChannelThatEndsEverySessionIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		name string
		opts []Option
		bad  string // before the good one, or after it
		good string
	}{
		{"before the other", nil, "/a", "/b"},
		{"behind the other", nil, "/c", "/b"},
		{"with a bound", []Option{WithMaxRetries(2)}, "/a", "/b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					f.hold = 10 * time.Second
					var bad atomic.Bool
					f.first = func(w *wire, m *bayeux.Message) bool {
						if !bad.Load() || m.Channel != bayeux.MetaSubscribe || m.Subscription.Channels[0] != test.bad {
							return false
						}
						w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: "402::session_unknown", Subscription: m.Subscription})
						return true
					}
					c := start(t, dialers(d), test.opts...)
					a, err := c.Subscribe(t.Context(), test.bad)
					require.NoError(t, err)
					b, err := c.Subscribe(t.Context(), test.good)
					require.NoError(t, err)
					time.Sleep(time.Minute)
					bad.Store(true)
					f.forget()
					select {
					case <-a.Done():
					case <-time.After(time.Hour):
						t.Fatal("it goes on for ever")
					}
					assert.ErrorIs(t, a.Err(), bayeux.ErrUnknownSession)
					time.Sleep(time.Minute)
					assert.Equal(t, bayeux.Connected, c.State())
					assert.NoError(t, b.Err())
					f.publish(test.good, "1")
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					assert.Equal(t, []string{"1"}, take(ctx, b, 1))
				})
			})
		})
	}
}

// Where nothing shows that the session was there, it was not: WithMaxRetries counts.
func TestSessionsThatAreGoneForAllEndAClientWithABound(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = refuse(bayeux.MetaSubscribe, 2, 1000, bayeux.Message{Error: "402::session_unknown"})
			c := start(t, dialers(d), WithMaxRetries(2))
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			time.Sleep(time.Minute)
			f.forget()
			<-c.Done()
			assert.ErrorIs(t, c.Err(), bayeux.ErrUnknownSession)
			assert.ErrorContains(t, c.Err(), "gave up after 3 attempts")
		})
	})
}

// A subscribe that is refused and asked again begins when it is taken: what another
// subscription of the client brought before would stand before a hole.
func TestASubscribeThatIsAskedAgainBeginsWhenItIsTaken(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.hold = 10 * time.Second
			busy := bayeux.Message{Error: "500::busy", Advice: &bayeux.Advice{Reconnect: bayeux.Retry}}
			refused := refuse(bayeux.MetaSubscribe, 2, 2, busy)
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == bayeux.MetaSubscribe && f.count(bayeux.MetaSubscribe) == 2 {
					f.publish("/a", "1")
					time.Sleep(time.Second)
				}
				return refused(w, m)
			}
			c := start(t, dialers(d))
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			time.AfterFunc(1200*time.Millisecond, func() { f.publish("/a", "2") }) // after the refusal
			again, err := c.Subscribe(t.Context(), "/a", WithSubscribeExt(bayeux.Ext{"x": []byte("1")}), WithOnGap(func(g Gap) { t.Errorf("%+v", g) }))
			require.NoError(t, err)
			assert.Equal(t, 3, f.count(bayeux.MetaSubscribe))
			f.publish("/a", "3")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			assert.Equal(t, []string{"3"}, take(ctx, again, 1))
		})
	})
}

// turnsAway dials exchanges that answer what is on a channel with a status and a pause, so many
// times.
type turnsAway struct {
	transport.Dialer
	channel string
	status  int
	left    atomic.Int32
	seen    atomic.Int32
}

type turnsAwayConn struct {
	transport.Conn
	d *turnsAway
}

func (d *turnsAway) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	c, err := d.Dialer.Dial(ctx, t)
	return turnsAwayConn{c, d}, err
}

func (c turnsAwayConn) Send(p *transport.Payload) error {
	for _, m := range p.Messages {
		if !bytes.Contains(m, []byte(c.d.channel)) {
			continue
		}
		c.d.seen.Add(1)
		if c.d.left.Add(-1) >= 0 {
			return &transport.Error{Type: bayeux.LongPolling, Op: "receive", Status: c.d.status, RetryAfter: 5 * time.Second}
		}
	}
	return c.Conn.Send(p)
}

// A proxy that has had enough of requests says so once, not for ever.
func TestSubscribingAgainIsRetriedWhenTheWholeRequestIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := &turnsAway{Dialer: memory.NewPollDialer(f.serve), channel: bayeux.MetaSubscribe, status: http.StatusTooManyRequests}
		c := start(t, []transport.Dialer{d})
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		d.left.Store(3)
		f.forget()
		time.Sleep(2 * time.Minute)
		assert.Equal(t, 1, f.subscribed("/a"))
		assert.NoError(t, sub.Err())
	})
}

// A client whose program does not read stops reading from the server, but not while
// it waits for a reply, which a repeated subscribe does too.
func TestASubscribeThatIsRepeatedIsAnsweredThoughNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		refused := false
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaSubscribe || m.Subscription.Channels[0] != "/b" || f.count(bayeux.MetaSubscribe) < 3 || refused {
				return false
			}
			refused = true
			w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Failed, Error: "503::busy", Subscription: m.Subscription})
			return true
		}
		c := start(t, dialers(board(f, streams)), WithBackoff(time.Second, time.Second))
		for _, ch := range []string{"/a", "/b"} {
			_, err := c.Subscribe(t.Context(), ch, WithQueue(1, Pause))
			require.NoError(t, err)
		}
		f.expel()
		for f.count(bayeux.MetaSubscribe) < 4 {
			time.Sleep(time.Millisecond)
		}
		for range 5 {
			f.publish("/a", "1")
		}
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 5, f.count(bayeux.MetaSubscribe))
	})
}
