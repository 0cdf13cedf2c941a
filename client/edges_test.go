package client

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// Events that belong to the handshake come before the first connect
// (docs/protocol.md §3.1).
func TestAnnouncedEventsAreAwaitedBeforeTheFirstConnect(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			came := make(chan time.Time, 1)
			f.first = func(w *wire, m *bayeux.Message) bool {
				switch m.Channel {
				case bayeux.MetaHandshake:
					reply := `{"channel":"/meta/handshake","id":"` + m.ID + `","successful":true,"clientId":"s1","version":"1.0",` +
						`"supportedConnectionTypes":["websocket","long-polling"],"x-messages":2}`
					f.sessions["s1"] = &session{id: "s1", f: f, woken: make(chan struct{}, 1)}
					if w.conn.Peer().Once {
						w.conn.Send(payload(reply, `{"channel":"/a","data":1}`, `{"channel":"/a","data":2}`))
						return true
					}
					w.conn.Send(payload(reply))
					time.AfterFunc(time.Second, func() { w.raw(`{"channel":"/a","data":1}`) })
					time.AfterFunc(3*time.Second, func() { w.raw(`{"channel":"/a","data":2}`) })
					return true
				case bayeux.MetaConnect:
					select {
					case came <- time.Now():
					default:
					}
				}
				return false
			}
			began := time.Now()
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			want := 3 * time.Second
			if d.Type() == bayeux.LongPolling {
				want = 0
			}
			assert.Equal(t, want, (<-came).Sub(began))
		})
	})
}

// What was announced and never comes delays the connect, but not for ever.
func TestAnnouncedEventsThatStayAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaHandshake {
				return false
			}
			f.sessions["s1"] = &session{id: "s1", f: f, woken: make(chan struct{}, 1)}
			w.raw(`{"channel":"/meta/handshake","id":"` + m.ID + `","successful":true,"clientId":"s1","x-messages":9000000000000000000}`)
			return true
		}
		c := start(t, dialers(board(f, streams)), WithTimeouts(Timeouts{NetworkDelay: 4 * time.Second}))
		time.Sleep(5 * time.Second)
		assert.Equal(t, bayeux.Connected, c.State())
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

type wrongDialer struct {
	*switchboard
	err error
}

func (d wrongDialer) Err() error { return d.err }

func TestAWrongDialerFailsNew(t *testing.T) {
	wrong := errors.New("the subprotocol is empty")
	d := board(newFake(), streams)
	_, err := New(testURL, WithTransports(wrongDialer{d, wrong}))
	assert.ErrorIs(t, err, wrong)
	c, err := New(testURL, WithTransports(wrongDialer{d, nil}))
	require.NoError(t, err)
	c.Close()
	<-c.Done()
}

func TestAnOpaqueURLShowsNoPassword(t *testing.T) {
	_, err := New("user:secret@host/cometd", WithTransports(board(newFake(), streams)))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
}

// An answer to a publish may bring events; when it is lost, so may they be.
func TestALostAnswerIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == "/p" {
				w.conn.Close(transport.Internal)
			}
			return m.Channel == "/p"
		}
		c := start(t, dialers(board(f, polls)))
		gaps := make(chan Gap, 1)
		_, err := c.SubscribeFunc(t.Context(), "/a", func(context.Context, *bayeux.Message) error { return nil },
			WithOnGap(func(g Gap) { gaps <- g }))
		require.NoError(t, err)
		require.ErrorIs(t, c.Publish(t.Context(), "/p", 1), ErrLost)
		assert.Equal(t, "/a", (<-gaps).Channel)
	})
}

// A connection that breaks, comes back with a message and breaks again before its
// connect is answered may have lost what came behind that message.
func TestABreakAfterNewMessagesIsAGapOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := board(f, streams)
		var again atomic.Bool
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaConnect || !again.CompareAndSwap(true, false) {
				return false
			}
			w.send(&bayeux.Message{Channel: "/a", Data: []byte("1")})
			time.Sleep(time.Millisecond) // fake: the client has read it
			w.conn.Close(transport.Internal)
			return true
		}
		c := start(t, dialers(d))
		heard := make(chan string, 10)
		_, err := c.SubscribeFunc(t.Context(), "/a",
			func(_ context.Context, m *bayeux.Message) error { heard <- string(m.Data); return nil },
			WithOnGap(func(Gap) { heard <- "gap" }))
		require.NoError(t, err)
		time.Sleep(time.Minute + time.Second) // between two connects
		again.Store(true)
		d.cut()
		time.Sleep(time.Minute)
		f.publish("/a", "2")
		time.Sleep(time.Minute)
		var got []string
		for len(heard) > 0 {
			got = append(got, <-heard)
		}
		assert.Equal(t, []string{"gap", "1", "gap", "2"}, got)
	})
}

// Two batches that together want more than Limits.Pending must not wait for
// each other.
func TestLargeBatchesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, streams)), WithLimits(Limits{Pending: 10}))
		errs := make(chan error, 4)
		for range 4 {
			go func() {
				for range 50 {
					b := c.Batch()
					for i := range 8 {
						b.Publish("/a", i)
					}
					if err := b.Send(t.Context()); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range 4 {
			assert.NoError(t, <-errs)
		}
	})
}

// A token is asked for before each handshake, also before the one that a
// restored connection makes over another transport.
func TestATokenForTheOtherTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		asked := 0
		start(t, dialers(stream, poll), WithTokenSource(func(context.Context) (AccessToken, error) {
			asked++
			return Bearer("t"), nil
		}))
		time.Sleep(5 * time.Second)
		stream.set(errRefused)
		stream.cut()
		time.Sleep(10 * time.Second)
		assert.Equal(t, 2, f.count(bayeux.MetaHandshake))
		assert.Equal(t, 2, asked)
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

// While the client rests between two connects it notices that the connection
// or the session is gone.
func TestARestEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != bayeux.MetaConnect {
				return false
			}
			w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded,
				Advice: &bayeux.Advice{Interval: bayeux.SpanOf(10 * time.Minute)}})
			return true
		}
		d := board(f, streams)
		c := start(t, dialers(d))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Second)
		d.cut()
		synctest.Wait()
		assert.Equal(t, bayeux.Unconnected, c.State())
	})
}

// A preferred transport that opens takes no publish while an exchange is under way.
func TestTheWayBackKeepsTheOrderOfPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, stream, poll := pair()
		f.hold = time.Second
		stream.set(errNoUpgrade)
		var order []string
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel == "/p" {
				if w.conn.Peer().Once && len(w.out) == 0 {
					time.Sleep(100 * time.Millisecond) // a slow answer
				}
				f.mu.Lock()
				order = append(order, string(m.Data))
				f.mu.Unlock()
			}
			return false
		}
		c := start(t, dialers(stream, poll), WithUpgradeAfter(time.Minute))
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(time.Minute)
		stream.set(nil)
		var want []string
		for i := 0; i < 100000 && c.Stats().Transport != bayeux.WebSocket; i++ {
			require.NoError(t, c.PublishFunc("/p", i, nil))
			want = append(want, fmt.Sprint(i))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		assert.Equal(t, bayeux.WebSocket, c.Stats().Transport)
		f.mu.Lock()
		defer f.mu.Unlock()
		assert.True(t, slices.Equal(want, order), "%d published, %d arrived, in order: %v", len(want), len(order), slices.Equal(want[:min(len(want), len(order))], order))
	})
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

// Who hears everything hears of a publish that is lost, or refused by HTTP.
func TestALostPublishIsAnEvent(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == "/p" {
					d.cut()
				}
				return m.Channel == "/p"
			}
			c := start(t, dialers(d))
			require.NoError(t, c.Wait(t.Context()))
			events := c.Events(t.Context())
			err := c.Publish(t.Context(), "/p", 1)
			require.ErrorIs(t, err, ErrLost)
			c.Close()
			found := false
			for e := range events {
				failure, ok := e.(Failure)
				found = found || ok && failure.Err.Error() == err.Error()
			}
			assert.True(t, found)
		})
	})
}

// An answer that is about something else is not called late.
func TestAnAnswerThatNamesNoRequest(t *testing.T) {
	for _, answer := range []string{"", `{"channel":"/meta/handshake","id":"x9","successful":true,"clientId":"s"}`} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.first = func(w *wire, m *bayeux.Message) bool {
				if answer == "" {
					w.conn.Send(&transport.Payload{})
				} else {
					w.raw(answer)
				}
				return true
			}
			_, err := Dial(t.Context(), testURL, WithTransports(board(f, polls)))
			assert.ErrorContains(t, err, "the answer names no request")
			assert.NotErrorIs(t, err, bayeux.ErrTimeout)
		})
	}
}
