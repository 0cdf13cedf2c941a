package client

import (
	"context"
	"fmt"
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

// refuse answers the n-th message on ch and all later ones until off with the
// given reply.
func refuse(ch string, from, until int, reply bayeux.Message) func(*wire, *bayeux.Message) bool {
	var n atomic.Int32
	return func(w *wire, m *bayeux.Message) bool {
		if m.Channel != ch {
			return false
		}
		if i := int(n.Add(1)); i < from || i > until {
			return false
		}
		r := reply
		r.Channel, r.ID, r.Outcome = m.Channel, m.ID, bayeux.Failed
		w.send(&r)
		return true
	}
}

func TestARefusedConnectIsFollowedByWhatItAdvises(t *testing.T) {
	none := &bayeux.Advice{Reconnect: bayeux.NoReconnect, Interval: bayeux.SpanOf(0)}
	again := &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(0)}
	retry := &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(2 * time.Second)}
	odd := &bayeux.Advice{Reconnect: "whatever"}
	tests := []struct {
		name       string
		reply      bayeux.Message
		opts       []Option
		handshakes int
		final      bool
	}{
		{"402", bayeux.Message{Error: "402::session_unknown", Advice: again}, nil, 2, false},
		{"402 without advice", bayeux.Message{Error: "402::Unknown client"}, nil, 2, false},
		{"403 unknown client", bayeux.Message{Error: "403::Unknown client", Advice: again}, nil, 2, false},
		{"403 unknown client, no advice", bayeux.Message{Error: "403::unknown client"}, nil, 2, false},
		{"Faye's 401", bayeux.Message{Error: "401:abc:Unknown client", Advice: again}, nil, 2, false},
		{"only advice", bayeux.Message{Advice: again}, nil, 2, false},
		{"retry", bayeux.Message{Error: "500::oops", Advice: retry}, nil, 1, false},
		{"nothing said", bayeux.Message{}, nil, 1, false},
		{"odd advice", bayeux.Message{Error: "500::oops", Advice: odd}, nil, 1, false},
		{"none", bayeux.Message{Error: "403::denied", Advice: none}, nil, 1, true},
		{"none, rehandshake", bayeux.Message{Error: "403::Unknown client", Advice: none}, []Option{WithRehandshakeOnNone()}, 2, false},
		{"401 none", bayeux.Message{Error: "401::Authentication invalid", Advice: none}, nil, 1, true},
		{"401 none, token", bayeux.Message{Error: "401::Authentication invalid", Advice: none}, []Option{tokens("a", "b")}, 2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					f.first = refuse(bayeux.MetaConnect, 3, 3, tt.reply)
					c := start(t, dialers(d), tt.opts...)
					sub, err := c.Subscribe(t.Context(), "/a")
					require.NoError(t, err)
					time.Sleep(time.Minute)
					assert.Equal(t, tt.handshakes, f.count(bayeux.MetaHandshake))
					if tt.final {
						<-c.Done()
						refusal, ok := refusalOf(c.Err())
						require.True(t, ok, "%v", c.Err())
						assert.Equal(t, tt.reply.Error, refusal.Wire())
						assert.ErrorIs(t, sub.Err(), ErrClosed)
						assert.ErrorIs(t, sub.Err(), refusal)
						return
					}
					assert.Equal(t, bayeux.Connected, c.State())
					f.publish("/a", "1")
					assert.Equal(t, []string{"1"}, take(t.Context(), sub, 1))
				})
			})
		})
	}
}

func tokens(values ...string) Option {
	i := 0
	return WithTokenSource(func(context.Context) (AccessToken, error) {
		v := values[min(i, len(values)-1)]
		i++
		return Bearer(v), nil
	})
}

func TestARefusedHandshakeIsFollowedByWhatItAdvises(t *testing.T) {
	none := &bayeux.Advice{Reconnect: bayeux.NoReconnect}
	sfdc := bayeux.Ext{"sfdc": []byte(`{"failureReason":"401::Authentication invalid"}`)}
	tests := []struct {
		name  string
		reply bayeux.Message
		opts  []Option
		final bool
	}{
		{"none", bayeux.Message{Error: "403::handshake_denied", Advice: none}, nil, true},
		{"handshake", bayeux.Message{Error: "403::later", Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain}}, nil, false},
		{"retry", bayeux.Message{Error: "403::later", Advice: &bayeux.Advice{Reconnect: bayeux.Retry}}, nil, false},
		{"nothing said", bayeux.Message{Error: "500::oops"}, nil, false},
		{"Salesforce's 401 without a token source", bayeux.Message{Error: "403::Handshake denied", Advice: none, Ext: sfdc}, nil, true},
		{"Salesforce's 401", bayeux.Message{Error: "403::Handshake denied", Advice: none, Ext: sfdc}, []Option{tokens("a", "b")}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.first = refuse(bayeux.MetaHandshake, 1, 2, tt.reply)
				c := start(t, dialers(board(f, polls)), tt.opts...)
				time.Sleep(5 * time.Second)
				if tt.final {
					<-c.Done()
					assert.ErrorContains(t, c.Err(), bayeux.ParseError("", tt.reply.Error).Message)
					return
				}
				assert.Equal(t, bayeux.Connected, c.State())
				assert.Equal(t, 3, f.count(bayeux.MetaHandshake))
			})
		})
	}
}

// A handshake reply without advice resets what an older one said.
func TestAHandshakeResetsTheAdvice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		again := &bayeux.Advice{Reconnect: bayeux.HandshakeAgain}
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == bayeux.MetaHandshake {
				w.handle(m)
				w.out[0].Advice = nil
				return true
			}
			return false
		}
		refused := refuse(bayeux.MetaConnect, 2, 2, bayeux.Message{Error: "402::x", Advice: again})
		first := f.first
		f.first = func(w *wire, m *bayeux.Message) bool { return first(w, m) || refused(w, m) }
		c := start(t, dialers(board(f, polls)))
		time.Sleep(time.Hour)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
	})
}

// A server that forgets every session at once is not stormed with handshakes.
func TestShortSessionsBackOff(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int32
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == bayeux.MetaConnect && m.Advice == nil {
					n.Add(1)
					f.forget()
				}
				return false
			}
			start(t, dialers(d))
			time.Sleep(time.Hour)
			assert.LessOrEqual(t, f.count(bayeux.MetaHandshake), 126)
			assert.Greater(t, n.Load(), int32(100))
		})
	})
}

func TestTheServerMayEndTheSession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		for _, rehandshake := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var opts []Option
				if rehandshake {
					opts = append(opts, WithRehandshakeOnNone())
				}
				c := start(t, dialers(d), opts...)
				require.NoError(t, c.Wait(t.Context()))
				time.Sleep(5 * time.Second)
				f.kick(c.ID())
				time.Sleep(5 * time.Second)
				if rehandshake {
					assert.Equal(t, bayeux.Connected, c.State())
					return
				}
				assert.Equal(t, bayeux.Stopped, c.State())
				<-c.Done()
				assert.ErrorIs(t, c.Err(), errKicked)
			})
		}
	})
}

// Also with a handshake that was granted.
func TestTheAdviceToStopEndsTheClientAtOnce(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == bayeux.MetaHandshake {
					w.send(&bayeux.Message{
						Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded, ClientID: "c", Version: "1.0",
						SupportedConnectionTypes: []string{bayeux.WebSocket, bayeux.LongPolling}, Advice: &bayeux.Advice{Reconnect: bayeux.NoReconnect},
					})
				}
				return m.Channel == bayeux.MetaHandshake
			}
			c := start(t, dialers(d))
			<-c.Done()
			assert.ErrorIs(t, c.Err(), errKicked)
			assert.Zero(t, f.count(bayeux.MetaConnect))
		})
	})
}

func TestMaxRetriesEndsTheClient(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d), WithMaxRetries(3))
			require.NoError(t, c.Wait(t.Context()))
			time.Sleep(65 * time.Second)
			d.set(errRefused)
			d.cut()
			<-c.Done()
			assert.ErrorIs(t, c.Err(), errRefused)
			assert.ErrorContains(t, c.Err(), "gave up after 4 attempts")
		})
	})
}

// What an advice says too much of is cut, or the client would sleep for ever.
func TestAbsurdAdviceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		year := bayeux.SpanOf(365 * 24 * time.Hour)
		f.first = refuse(bayeux.MetaConnect, 2, 2, bayeux.Message{Advice: &bayeux.Advice{Interval: year, Timeout: year}})
		c := start(t, dialers(board(f, polls)))
		time.Sleep(2 * time.Hour)
		assert.Equal(t, bayeux.Connected, c.State())
	})
}

func TestUnauthorizedByHTTPAsksForANewToken(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			d.set(&transport.Error{Type: "x", Op: "dial", Status: 401})
			var asked atomic.Int32
			c := start(t, dialers(d), WithTokenSource(func(context.Context) (AccessToken, error) {
				if asked.Add(1) == 2 {
					d.set(nil)
				}
				return Bearer("t"), nil
			}))
			time.Sleep(3 * time.Second)
			assert.EqualValues(t, 2, asked.Load())
			assert.Equal(t, bayeux.Connected, c.State())
		})
	})
}

// Some servers leave ids out of all replies, also of the one to disconnect.
func TestADisconnectReplyWithoutAnID(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool { m.ID = ""; return false }
			c := start(t, dialers(d))
			require.NoError(t, c.Publish(t.Context(), "/a", 1))
			time.Sleep(time.Minute)
			began := time.Now()
			c.Close()
			assert.Zero(t, time.Since(began))
			assert.NoError(t, c.Err())
		})
	})
}

// The server's disconnect counts also when the socket is closed right behind it.
func TestADisconnectFollowedByAClose(t *testing.T) {
	for range 20 { // the two are noticed in either order
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			c := start(t, dialers(board(f, streams)))
			require.NoError(t, c.Wait(t.Context()))
			time.Sleep(5 * time.Second)
			f.mu.Lock()
			w := f.sessions[c.ID()].wire
			f.mu.Unlock()
			w.raw(`{"channel":"/meta/disconnect","successful":true}`)
			w.conn.Close(transport.Kicked)
			<-c.Done()
			assert.ErrorIs(t, c.Err(), errKicked)
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		})
	}
}

// Replies without ids find their requests by what they subscribe to.
func TestRepliesWithoutIDsOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var mu sync.Mutex
		var waiting []string
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaSubscribe {
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			waiting = append(waiting, m.Subscription.Channels[0])
			if len(waiting) == 2 { // the second first, and the other is refused
				w.raw(fmt.Sprintf(`{"channel":"/meta/subscribe","subscription":%q,"successful":%t}`, waiting[1], waiting[1] == "/yes"))
				w.raw(fmt.Sprintf(`{"channel":"/meta/subscribe","subscription":[%q],"successful":%t}`, waiting[0], waiting[0] == "/yes"))
			}
			return true
		}
		c := start(t, dialers(board(f, streams)))
		require.NoError(t, c.Wait(t.Context()))
		var wg sync.WaitGroup
		for _, ch := range []string{"/yes", "/no"} {
			wg.Go(func() {
				_, err := c.Subscribe(t.Context(), ch)
				assert.Equal(t, ch == "/yes", err == nil, ch)
			})
		}
		wg.Wait()
	})
}

// The server ends a session while its client pauses between two connects, and
// knows nothing of it when the next one comes.
func TestAKickBetweenTwoConnectsIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaConnect || f.count(bayeux.MetaConnect) > 1 {
				return false
			}
			w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded,
				Advice: &bayeux.Advice{Reconnect: bayeux.Retry, Interval: bayeux.SpanOf(time.Minute)}})
			return true
		}
		c := start(t, dialers(board(f, streams)))
		_, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		time.Sleep(time.Second)
		f.kick(c.ID())
		<-c.Done()
		assert.ErrorIs(t, c.Err(), errKicked)
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}
