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

// A connection that swallows everything is noticed when the reply to the
// connect is overdue, and not before.
func TestASilentServerIsNoticed(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var silent atomic.Bool
			f.first = func(*wire, *bayeux.Message) bool { return silent.Load() }
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			synctest.Wait()
			silent.Store(true) // with a connect held, which the fake still answers
			time.Sleep(20*time.Second + 25*time.Second)
			assert.Equal(t, bayeux.Connected, c.State(), "20s hold, then 20s and 10s for the next")
			time.Sleep(10 * time.Second)
			assert.Equal(t, bayeux.Unconnected, c.State())
			assert.ErrorIs(t, c.Stats().Err, bayeux.ErrTimeout)
			silent.Store(false)
			time.Sleep(30 * time.Second)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		})
	})
}

// A consumer that has stalled, with its queue not yet full, costs nothing.
func TestAStalledConsumerKeepsItsSession(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			ctx := t.Context()
			stalled := make(chan struct{})
			var got atomic.Int32
			_, err := c.SubscribeFunc(ctx, "/a", func(context.Context, *bayeux.Message) error {
				<-stalled
				got.Add(1)
				return nil
			})
			require.NoError(t, err)
			for range 1000 {
				f.publish("/a", "1")
				time.Sleep(3600 * time.Millisecond)
			}
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
			assert.Zero(t, c.Stats().Reconnects)
			close(stalled)
			synctest.Wait()
			assert.EqualValues(t, 1000, got.Load())
		})
	})
}

// A full queue pauses reading; that is not a broken network, and ends when
// somebody reads.
func TestAFullQueuePausesAndIsNoBrokenNetwork(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			ctx := t.Context()
			require.NoError(t, c.Wait(ctx))
			sub, err := c.Subscribe(ctx, "/a", WithQueue(10, Pause))
			require.NoError(t, err)
			for range 30 {
				f.publish("/a", "1")
			}
			time.Sleep(time.Hour)
			assert.True(t, c.flow.paused())
			assert.Equal(t, 10, c.Stats().Waiting)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Len(t, take(ctx, sub, 30), 30)
			time.Sleep(time.Minute)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		})
	})
}

// A handler that publishes while its queue is full gets its answer: the reply
// is behind the messages that it has not read.
func TestAHandlerMayPublishWhileItsQueueIsFull(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			ctx := t.Context()
			var done atomic.Int32
			_, err := c.SubscribeFunc(ctx, "/a", func(ctx context.Context, m *bayeux.Message) error {
				done.Add(1)
				return c.Publish(ctx, "/b", m.Data)
			}, WithQueue(2, Pause))
			require.NoError(t, err)
			for range 50 {
				f.publish("/a", "1")
			}
			time.Sleep(time.Minute)
			assert.EqualValues(t, 50, done.Load())
			assert.Equal(t, 50, f.count("/b"))
		})
	})
}

func TestCloseEndsAPause(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			sub, err := c.Subscribe(t.Context(), "/a", WithQueue(1, Pause))
			require.NoError(t, err)
			for range 10 {
				f.publish("/a", "1")
			}
			time.Sleep(time.Second)
			require.True(t, c.flow.paused())
			began := time.Now()
			require.NoError(t, c.Close())
			assert.LessOrEqual(t, time.Since(began), 2*time.Second)
			<-sub.Done()
			assert.ErrorIs(t, sub.Err(), ErrClosed)
		})
	})
}

// A publish that a server never answers fails alone while the connection is
// alive.
func TestAMissingReplyFailsItsRequestAlone(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel != "/hang" {
					return false
				}
				f.publish("/a", "1") // a sign of life
				return true
			}
			c := start(t, dialers(d))
			ctx := t.Context()
			_, err := c.Subscribe(ctx, "/a")
			require.NoError(t, err)
			err = c.Publish(ctx, "/hang", 1)
			require.ErrorIs(t, err, ErrLost)
			require.ErrorIs(t, err, bayeux.ErrTimeout)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Zero(t, c.Stats().Reconnects)
			require.NoError(t, c.Publish(ctx, "/b", 1))
		})
	})
}

// Where nothing at all comes back any more, a publish shows it before the
// connect does: when its own answer and that to another connect stay out.
func TestASilentServerIsNoticedByAPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.hold = 10 * time.Minute
		var silent atomic.Bool
		f.first = func(*wire, *bayeux.Message) bool { return silent.Load() }
		d := board(f, streams)
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Minute)
		silent.Store(true)
		require.ErrorIs(t, c.Publish(t.Context(), "/a", 1), ErrLost)
		time.Sleep(4900 * time.Millisecond)
		assert.Equal(t, bayeux.Connected, c.State())
		time.Sleep(200 * time.Millisecond)
		assert.Equal(t, bayeux.Unconnected, c.State())
	})
}

// A server that stalls for a little longer than a publish waits loses nobody: all
// that publish would come back at once.
func TestAServerThatStallsForAMomentKeepsItsPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.hold = 10 * time.Minute
		f.first = func(_ *wire, m *bayeux.Message) bool {
			if m.Channel == "/stall" {
				time.Sleep(12 * time.Second)
			}
			return false
		}
		c := start(t, dialers(board(f, streams)))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Minute)
		require.ErrorIs(t, c.Publish(t.Context(), "/stall", 1), ErrLost)
		for range 30 {
			assert.NoError(t, c.Publish(t.Context(), "/a", 1))
			time.Sleep(time.Second)
		}
		assert.Zero(t, c.Stats().Reconnects)
		assert.Equal(t, bayeux.Connected, c.State())
	})
}

// Where it stalls for longer, they come back as after any break.
func TestAStreamThatAPublishFoundDeadIsRestoredAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.hold = 10 * time.Minute
		var silent atomic.Bool
		f.first = func(*wire, *bayeux.Message) bool { return silent.Load() }
		d := board(f, streams)
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		silent.Store(true)
		for i := 0; c.State() != bayeux.Unconnected && i < 30000; i++ {
			if i%1000 == 0 { // each is overdue for itself
				require.NoError(t, c.PublishFunc("/a", 1, nil))
			}
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, bayeux.Unconnected, c.State())
		lost := c.Stats().At
		for d.tries() == 1 {
			time.Sleep(time.Millisecond)
		}
		assert.GreaterOrEqual(t, time.Since(lost), 500*time.Millisecond)
	})
}

func TestNudgeFindsADeadConnectionWithinTwoSeconds(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var silent atomic.Bool
			f.first = func(*wire, *bayeux.Message) bool { return silent.Load() }
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			time.Sleep(65 * time.Second)
			silent.Store(true)
			c.Nudge()
			time.Sleep(time.Second / 2)
			silent.Store(false)
			time.Sleep(3 * time.Second / 2)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.EqualValues(t, 1, c.Stats().Reconnects)
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		})
	})
}

func TestNudgeLeavesALivingConnectionAlone(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			time.Sleep(65 * time.Second)
			c.Nudge()
			time.Sleep(time.Minute)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Zero(t, c.Stats().Reconnects)
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
		})
	})
}

func TestNudgeEndsAPause(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			d.set(errRefused)
			c := start(t, dialers(d))
			time.Sleep(10 * time.Minute)
			d.set(nil)
			c.Nudge()
			synctest.Wait()
			assert.Equal(t, bayeux.Connected, c.State())
		})
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			d.set(&transport.Error{Type: "x", Op: "dial", Status: 503, RetryAfter: 10 * time.Minute})
			start(t, dialers(d))
			time.Sleep(31 * time.Minute)
			assert.Equal(t, 4, d.tries())
		})
	})
}

// A connect may be given up just when it is about to be sent. Nobody would watch it
// then: it is not sent, and the probe that takes its place is.
func TestAConnectThatWasGivenUpIsNotSent(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			var connects atomic.Int32
			slow := make(chan struct{})
			c := start(t, dialers(d), WithExtension(Extension{Outgoing: func(_ context.Context, m *bayeux.Message) error {
				if m.Channel == bayeux.MetaConnect && connects.Add(1) == 2 {
					<-slow
				}
				return nil
			}}))
			require.NoError(t, c.Wait(t.Context()))
			synctest.Wait()
			c.Nudge()
			synctest.Wait()
			close(slow)
			time.Sleep(125 * time.Second)
			assert.Equal(t, bayeux.Connected, c.State())
			assert.Zero(t, c.Stats().Reconnects)
			assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
			assert.Equal(t, int(connects.Load())-1, f.count(bayeux.MetaConnect))
		})
	})
}

// Each transport that fails may have asked for a pause.
func TestTheLongestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stream, poll := pair()
		stream.set(errNoUpgrade)
		poll.set(&transport.Error{Type: bayeux.LongPolling, Op: "receive", Status: 503, RetryAfter: 10 * time.Minute})
		start(t, dialers(stream, poll))
		time.Sleep(31 * time.Minute)
		assert.Equal(t, 4, stream.tries())
	})
}

// The server's disconnect is final, whatever the client asks afterwards.
func TestNudgeUndoesNoKick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, streams)))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Second)
		w := f.someWire()
		f.letGo(c.ID())
		f.forget()
		w.send(&bayeux.Message{Channel: bayeux.MetaDisconnect, Outcome: bayeux.Succeeded})
		time.Sleep(probePatience / 2)
		c.Nudge()
		time.Sleep(time.Minute)
		assert.ErrorIs(t, c.Err(), errKicked)
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}
