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

// A server may take a subscribe and send events, and the connection break before
// the reply, or the session end: what is missed then is told, between what came
// before and what comes after.
func TestABreakBeforeTheReplyToASubscribeIsAGap(t *testing.T) {
	for name, breaks := range map[string]func(f *fake, d *switchboard){
		"break":        func(_ *fake, d *switchboard) { d.cut() },
		"lost session": func(f *fake, d *switchboard) { f.forget(); d.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := board(f, streams)
				first := true
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel != bayeux.MetaSubscribe || !first {
						return false
					}
					first = false
					w.mute(func() { w.handle(m) })
					return true
				}
				c := start(t, dialers(d))
				require.NoError(t, c.Wait(t.Context()))
				var heard []string
				subscribed := make(chan error)
				go func() {
					_, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
						heard = append(heard, string(m.Data))
						return nil
					}, WithOnGap(func(Gap) { heard = append(heard, "gap") }))
					subscribed <- err
				}()
				synctest.Wait()
				f.publish("/a", "1")
				synctest.Wait()
				breaks(f, d)
				require.NoError(t, <-subscribed)
				f.publish("/a", "3")
				synctest.Wait()
				assert.Equal(t, []string{"1", "gap", "3"}, heard)
			})
		})
	}
}

// Who fetches what may have been missed needs to know since when.
func TestTheGapOfALostSessionBeginsWhereThatEnded(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.hold = time.Hour
			gaps := make(chan Gap, 10)
			c := start(t, dialers(d), WithHooks(Hooks{Gap: func(g Gap) { gaps <- g }}))
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			began := time.Now()
			time.Sleep(40 * time.Minute)
			f.expel()
			g := <-gaps
			assert.Equal(t, transport.Expired, g.Reason)
			assert.WithinDuration(t, began, g.From, time.Second)
			assert.GreaterOrEqual(t, g.To.Sub(g.From), 40*time.Minute)
		})
	})
}

// What another exchange brings while the client pauses tells nothing of the answer
// that has broken.
func TestTheGapOfABreakBeginsBeforeThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(_ *wire, m *bayeux.Message) bool {
			if m.Channel == "/slow" {
				time.Sleep(5*time.Second + 100*time.Millisecond)
			}
			return false
		}
		gaps := make(chan Gap, 10)
		c := start(t, dialers(board(f, polls)), WithHooks(Hooks{Gap: func(g Gap) { gaps <- g }}))
		_, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		require.NoError(t, c.PublishFunc("/slow", 1, func(err error) { assert.NoError(t, err) }))
		time.Sleep(5 * time.Second)
		broke := time.Now()
		f.someWire().conn.Close(transport.Internal)
		g := <-gaps
		assert.False(t, g.From.After(broke), "from %v after the break", g.From.Sub(broke))
		assert.GreaterOrEqual(t, g.To.Sub(broke), 500*time.Millisecond)
	})
}

// What comes without having been subscribed to is missed like all else.
func TestListenersAreToldGapsToo(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			gaps := make(chan Gap, 10)
			c := start(t, dialers(d), WithHooks(Hooks{Gap: func(g Gap) { gaps <- g }}))
			for _, ch := range []string{"/service/news", bayeux.MetaConnect, "/a"} {
				_, err := c.Listen(ch)
				require.NoError(t, err)
			}
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			time.Sleep(time.Minute)
			f.expel()
			time.Sleep(time.Minute)
			require.Len(t, gaps, 2, "meta messages are the client's own, and each channel's gap is told once")
			assert.Equal(t, "/a", (<-gaps).Channel)
			assert.Equal(t, "/service/news", (<-gaps).Channel)
		})
	})
}
