package server_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

func onPolling(t *testing.T, f func(t *testing.T, w *world), opts ...server.Option) {
	synced(t, bayeux.LongPolling, f, opts...)
}

// drops collects what Hooks.Dropped is told.
type drops struct {
	mu   sync.Mutex
	told []string
}

func (d *drops) hook(s *server.Session, ch string, n int, why transport.Reason) {
	s.Outbox().Len() // no lock is held
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, fmt.Sprint(ch, " ", n, " ", why))
}

func (d *drops) take() (told []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	told, d.told = d.told, nil
	return told
}

func TestWhatAnEndedSessionNeverGotIsCountedWithTheReasonOfItsEnd(t *testing.T) {
	for why, end := range map[transport.Reason]func(w *world, c *wire){
		transport.Expired:   func(*world, *wire) { time.Sleep(12 * time.Second) },
		transport.Normal:    func(_ *world, c *wire) { c.send(`{"channel":"/meta/disconnect","id":"d","clientId":"$"}`) },
		transport.GoingAway: func(w *world, _ *wire) { w.Close() },
	} {
		t.Run(why.String(), func(t *testing.T) {
			d := &drops{}
			on := onBoth
			if why == transport.Normal { // a socket gets what waits before it has said a word
				on = onPolling
			}
			on(t, func(t *testing.T, w *world) {
				c := w.session("/a", "/b")
				s := w.Session(c.id)
				c.cut()
				for _, ch := range []string{"/a", "/b", "/a"} {
					require.NoError(t, w.Publish(t.Context(), ch, 1))
				}
				require.NoError(t, s.Send("/service/x", 1))
				end(w, c)
				synctest.Wait()
				assert.Equal(t, []string{" 1 " + why.String(), "/a 2 " + why.String(), "/b 1 " + why.String()}, d.take())
				assert.EqualValues(t, 4, w.Stats().Dropped)
				assert.EqualValues(t, 4, s.Outbox().Dropped())
				assert.Zero(t, w.Stats().QueuedBytes)
			}, server.WithHooks(server.Hooks{Dropped: d.hook}))
		})
	}
}

func TestWhatHasLeftIsNotCountedAsDropped(t *testing.T) {
	d := &drops{}
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		c.events(1)
		c.send(`{"channel":"/meta/disconnect","id":"d","clientId":"$"}`)
		c.expect(bayeux.MetaDisconnect, "d")
		assert.Empty(t, d.take())
		assert.Zero(t, w.Stats().Dropped)
	}, server.WithHooks(server.Hooks{Dropped: d.hook}))
}

func TestAFullOutboxTakesAlongWhatItHeld(t *testing.T) {
	d := &drops{}
	onBoth(t, func(t *testing.T, w *world) {
		w.session("/a").cut()
		for range 4 {
			require.NoError(t, w.Publish(t.Context(), "/a", 1))
		}
		assert.Equal(t, []string{"/a 3 overflow", "/a 1 overflow"}, d.take())
		assert.EqualValues(t, 4, w.Stats().Dropped)
	}, server.WithHooks(server.Hooks{Dropped: d.hook}), server.WithLimits(server.Limits{SessionMessages: 3}))
}

// What was on its way to a socket that then broke, and belongs to a session
// that has ended meanwhile, has not left.
func TestWhatIsStuckWhenItsSessionEndsIsCountedOnceItCannotLeave(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c, conn := stick(t, w)
		s := w.Session(c.id)
		s.Expire(time.Now(), 0)
		w.settle()
		flying := 3 - int(s.Outbox().Dropped())
		assert.NotZero(t, flying)
		conn.Close(transport.Normal)
		w.settle()
		assert.EqualValues(t, 3-int(w.Stats().Delivered), s.Outbox().Dropped())
		assert.Zero(t, w.Stats().QueuedBytes)
	})
}

// What was sent and waits for its acknowledgement is not being sent, also after
// a reply that nothing new went with.
func TestAnEndedSessionKeepsNothingThatItsClientDidNotAcknowledge(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		have(c, "h1", 0)
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		c.all()
		c.send(`{"channel":"/meta/connect","id":"h2","clientId":"$","advice":{"timeout":0}}`)
		c.expect(bayeux.MetaConnect, "h2")
		require.NotZero(t, w.Stats().QueuedBytes)
		w.Session(c.id).Expire(time.Now(), 0)
		w.settle()
		assert.Zero(t, w.Stats().QueuedBytes)
		assert.Zero(t, w.Stats().Dropped)
	}, server.WithExtension(numbering))
}
