package client

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair is a stream, preferred, and exchanges to one fake server.
func pair() (f *fake, stream, poll *switchboard) {
	f = newFake()
	return f, board(f, streams), board(f, polls)
}

var errNoUpgrade = &transport.Error{Type: bayeux.WebSocket, Op: "dial", Status: 404, Err: transport.ErrUnsupported}

func TestARefusedUpgradeFallsBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stream, poll := pair()
		stream.set(errNoUpgrade)
		began := time.Now()
		c := start(t, dialers(stream, poll))
		require.NoError(t, c.Wait(t.Context()))
		assert.Zero(t, time.Since(began))
		got := c.Stats()
		assert.Equal(t, bayeux.LongPolling, got.Transport)
		assert.ErrorIs(t, got.Err, transport.ErrUnsupported, "the state says why")
	})
}

// A transport that hangs, or opens and is silent, leaves time for the next.
func TestAHangingUpgradeFallsBackWithinTheOpenTimeout(t *testing.T) {
	for name, hang := range map[string]func(f *fake, stream *switchboard){
		"hangs": func(_ *fake, stream *switchboard) { stream.hangs = true },
		"silent": func(f *fake, _ *switchboard) {
			f.first = func(w *wire, _ *bayeux.Message) bool { return !w.conn.Peer().Once }
		},
	} {
		for _, open := range []time.Duration{0, 3 * time.Second} {
			t.Run(name+open.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, stream, poll := pair()
					hang(f, stream)
					began := time.Now()
					c := start(t, dialers(stream, poll), WithTimeouts(Timeouts{Open: open}))
					require.NoError(t, c.Wait(t.Context()))
					orDefault(&open, 10*time.Second)
					assert.Equal(t, open/3, time.Since(began))
					assert.Equal(t, bayeux.LongPolling, c.Stats().Transport)
					require.Error(t, c.Stats().Err, "the state says why")
				})
			})
		}
	}
}

func TestDialLeavesTimeForEachTransport(t *testing.T) {
	for _, patience := range []time.Duration{time.Second, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			_, stream, poll := pair()
			stream.hangs = true
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := time.Now()
			c, err := Dial(ctx, testURL, WithTransports(dialers(stream, poll)...))
			require.NoError(t, err)
			assert.Equal(t, patience/3, time.Since(began))
			c.Close()
			<-c.Done()
		})
	}
}

// With no other transport to try, the one there is has all the time.
func TestTheOnlyTransportHasTheWholeOpenTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := board(newFake(), streams)
		stream.hangs = true
		began := time.Now()
		_, err := Dial(t.Context(), testURL, WithTransports(stream))
		require.ErrorContains(t, err, "no connection within 10s")
		assert.Equal(t, 10*time.Second, time.Since(began))
	})
}

// A proxy may let the upgrade through and swallow what follows.
func TestASilentStreamFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		f.first = func(w *wire, m *bayeux.Message) bool { return !w.conn.Peer().Once }
		c := start(t, dialers(stream, poll))
		time.Sleep(15 * time.Second)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, bayeux.LongPolling, c.Stats().Transport)
	})
}

// A proxy may let a stream's handshake through and swallow what follows.
func TestAStreamThatCarriesNoConnectIsReplaced(t *testing.T) {
	for _, hold := range []time.Duration{20 * time.Second, 30 * time.Second, 5 * time.Minute} {
		t.Run(hold.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, stream, poll := pair()
				f.hold = hold
				var healed atomic.Bool
				f.first = func(w *wire, m *bayeux.Message) bool {
					return !healed.Load() && !w.conn.Peer().Once && m.Channel != bayeux.MetaHandshake
				}
				c := start(t, dialers(stream, poll))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				require.NoError(t, c.Wait(ctx))
				assert.Equal(t, bayeux.LongPolling, c.Stats().Transport)
				assert.ErrorIs(t, c.Stats().Err, bayeux.ErrTimeout, "the state says why")
				tried := stream.tries()
				time.Sleep(4 * time.Minute)
				assert.Equal(t, tried, stream.tries(), "and is remembered")
				healed.Store(true)
				time.Sleep(2*time.Minute + hold)
				assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
				assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
			})
		})
	}
}

func TestAFailedTransportIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		stream.set(errNoUpgrade)
		c := start(t, dialers(stream, poll))
		require.NoError(t, c.Wait(t.Context()))
		f.forget()
		poll.cut()
		time.Sleep(10 * time.Second)
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
		assert.Equal(t, 1, stream.tries(), "the stream is not tried again so soon")
	})
}

// The session of a stream cannot be continued over exchanges: it is made again,
// but not while its own transport may come back.
func TestAStreamThatStaysAwayIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		c := start(t, dialers(stream, poll))
		ctx := t.Context()
		sub, err := c.Subscribe(ctx, "/a")
		require.NoError(t, err)
		stream.set(errRefused)
		stream.cut()
		time.Sleep(10 * time.Second)
		assert.Equal(t, bayeux.LongPolling, c.Stats().Transport)
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
		f.publish("/a", "1")
		assert.Equal(t, []string{"1"}, take(ctx, sub, 1))
	})
}

func TestAnAttemptTriesEachTransportOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stream, poll := pair()
		stream.set(errRefused)
		poll.set(errRefused)
		start(t, dialers(stream, poll))
		time.Sleep(time.Hour)
		assert.LessOrEqual(t, stream.tries(), 126)
		assert.Greater(t, stream.tries(), 100)
		assert.LessOrEqual(t, poll.tries(), 126)
	})
}

func TestTheServersListDecides(t *testing.T) {
	tests := []struct {
		name   string
		theirs []string
		first  string // the client's preference
		want   string
	}{
		{"nothing said", nil, streams, bayeux.WebSocket},
		{"both", []string{"callback-polling", "long-polling", "websocket"}, streams, bayeux.WebSocket},
		{"no stream", []string{"long-polling"}, streams, bayeux.LongPolling},
		{"no exchanges", []string{"websocket"}, polls, bayeux.WebSocket},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, stream, poll := pair()
				f.types = tt.theirs
				ds := dialers(stream, poll)
				if tt.first == polls {
					ds = dialers(poll, stream)
				}
				c := start(t, ds)
				require.NoError(t, c.Wait(t.Context()))
				assert.Equal(t, tt.want, c.Stats().Transport)
				require.NoError(t, c.Publish(t.Context(), "/a", 1))
				tried := stream.tries()
				time.Sleep(10 * time.Minute)
				assert.Equal(t, tt.want, c.Stats().Transport, "also later")
				assert.Equal(t, tried, stream.tries())
			})
		})
	}
}

// Some servers list what both have: what was not offered may be taken all the same.
func TestAListThatLeavesOutWhatWasNotOfferedClosesNoWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		f.types = []string{bayeux.LongPolling}
		stream.set(errNoUpgrade)
		c := start(t, dialers(stream, poll))
		require.NoError(t, c.Wait(t.Context()))
		stream.set(nil)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}

// A server that refuses a client for good, over the transport that works, is not
// asked again because another does not.
func TestAFinalRefusalIsFinalWhileTheStreamIsAway(t *testing.T) {
	for reconnect, final := range map[bayeux.Reconnect]bool{bayeux.NoReconnect: true, bayeux.HandshakeAgain: false} {
		t.Run(string(reconnect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, stream, poll := pair()
				advice := &bayeux.Advice{Reconnect: reconnect, Interval: bayeux.SpanOf(10 * time.Minute)}
				f.first = refuse(bayeux.MetaHandshake, 2, 100, bayeux.Message{Error: "403::handshake_denied", Advice: advice})
				c := start(t, dialers(stream, poll))
				require.NoError(t, c.Wait(t.Context()))
				stream.set(errRefused)
				stream.cut()
				time.Sleep(time.Hour)
				if final {
					require.Equal(t, bayeux.Stopped, c.State())
					<-c.Done()
					refusal, ok := refusalOf(c.Err())
					require.True(t, ok, "%v", c.Err())
					assert.Equal(t, "403::handshake_denied", refusal.Wire())
					assert.Equal(t, 3, f.count(bayeux.MetaHandshake), "asked beside the session, and once more when that must be lost")
					return
				}
				assert.NotEqual(t, bayeux.Stopped, c.State())
				assert.InDelta(t, 7, f.count(bayeux.MetaHandshake), 1, "each after the pause that the last refusal has asked for")
			})
		})
	}
}

// A session outlives what is said about others: a proxy that has no server for some
// seconds, and a new session over other transports that is refused for good.
func TestASessionIsKeptInMindWhateverIsSaidMeanwhile(t *testing.T) {
	unavailable := &transport.Error{Type: bayeux.WebSocket, Op: "dial", Status: 502}
	final := &bayeux.Advice{Reconnect: bayeux.NoReconnect, Interval: bayeux.SpanOf(10 * time.Minute)}
	for name, x := range map[string]struct {
		stream, poll error
	}{
		"a proxy without a server":     {unavailable, &transport.Error{Type: bayeux.LongPolling, Op: "receive", Status: 502}},
		"a refusal of another session": {errRefused, nil},
		"a gateway that wants a token": {unavailable, &transport.Error{Type: bayeux.LongPolling, Op: "receive", Status: 401, Err: transport.ErrUnauthorized}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, stream, poll := pair()
				f.first = refuse(bayeux.MetaHandshake, 2, 100, bayeux.Message{Error: "403::handshake_denied", Advice: final})
				c := start(t, dialers(stream, poll))
				require.NoError(t, c.Wait(t.Context()))
				session := c.ID()
				stream.set(x.stream)
				poll.set(x.poll)
				stream.cut()
				time.Sleep(8 * time.Second)
				stream.set(nil)
				poll.set(nil)
				time.Sleep(30 * time.Second)
				assert.Equal(t, bayeux.Connected, c.State())
				assert.Equal(t, session, c.ID())
				assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
			})
		})
	}
}

// A server that takes only streams says so of what else it is asked over. That is
// no reason to give up while the stream is away.
func TestNoCommonTransportIsNotFinalWhileTheStreamIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		f.types = []string{bayeux.WebSocket}
		c := start(t, dialers(stream, poll))
		require.NoError(t, c.Wait(t.Context()))
		stream.set(errRefused)
		stream.cut()
		time.Sleep(time.Minute)
		stream.set(nil)
		time.Sleep(time.Minute)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
	})
}

func TestNoCommonTransportIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.types = []string{"callback-polling"}
		c := start(t, dialers(board(f, streams)))
		<-c.Done()
		assert.ErrorIs(t, c.Err(), ErrNoTransport)
		assert.Equal(t, bayeux.Stopped, c.State())
		assert.ErrorIs(t, c.Wait(t.Context()), ErrNoTransport)
	})
}

func TestDialTriesOnceAndSaysWhatWentWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stream, poll := pair()
		stream.set(errNoUpgrade)
		poll.set(errRefused)
		_, err := Dial(t.Context(), "http://u:secret@fake/cometd", WithTransports(dialers(stream, poll)...))
		require.ErrorIs(t, err, errRefused)
		require.ErrorIs(t, err, transport.ErrUnsupported)
		assert.NotContains(t, err.Error(), "secret")
		assert.Equal(t, 1, stream.tries())
	})
}

// A server that shakes hands over exchanges and takes only streams is no server
// for who cannot open one, until that opens.
func TestAServerThatTakesOnlyWhatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		f.types = []string{bayeux.WebSocket}
		stream.set(errRefused)
		_, err := Dial(t.Context(), testURL, WithTransports(dialers(poll, stream)...))
		require.ErrorIs(t, err, errRefused)
		c := start(t, dialers(poll, stream))
		time.Sleep(time.Minute)
		assert.NotEqual(t, bayeux.Connected, c.State())
		stream.set(nil)
		time.Sleep(time.Minute)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
	})
}
