package server_test

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

func TestEventsKnowTheRequestThatCausedThem(t *testing.T) {
	onSockets(t, func(t *testing.T, w *world) {
		seen := w.Events(t.Context())
		c := w.client()
		c.target.Header = http.Header{"X-Tenant": {"acme"}}
		c.handshake()
		s := w.Session(c.id)
		for _, m := range []string{
			`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":["/a","/b"]}`,
			`{"channel":"/meta/unsubscribe","id":"u","clientId":"$","subscription":["/a"]}`,
		} {
			require.Equal(t, bayeux.Succeeded, c.ask(m).Outcome)
		}
		require.NoError(t, s.Subscribe("/c"))
		s.Unsubscribe("/c")
		s.Disconnect()
		tenant := func(ev server.Event) string {
			switch ev := ev.(type) {
			case server.SessionAdded:
				return server.PeerOf(ev.Context).Header.Get("X-Tenant")
			case server.Subscribed:
				return server.PeerOf(ev.Context).Header.Get("X-Tenant")
			case server.Unsubscribed:
				return server.PeerOf(ev.Context).Header.Get("X-Tenant")
			}
			return ""
		}
		var got []server.Event
		for ev := range seen {
			if got = append(got, ev); len(got) == 7 {
				break
			}
		}
		for _, ev := range got[:3] {
			assert.Equal(t, "acme", tenant(ev), "%T", ev)
		}
		for i, ev := range got[3:6] { // by the server, and by the end
			switch ev := ev.(type) {
			case server.Subscribed:
				assert.Equal(t, s.Context(), ev.Context)
			case server.Unsubscribed:
				assert.Equal(t, s.Context(), ev.Context, i)
			default:
				assert.Fail(t, "unexpected", "%T", ev)
			}
		}
		assert.Equal(t, []string{"/b"}, got[5].(server.Unsubscribed).Channels)
	}, server.WithHeaders("X-Tenant"))
}

// An event names what has changed: names that a client repeats, and those of
// services, which nobody remembers, are in none.
func TestSubscribedNamesWhatIsNew(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		seen := w.Events(t.Context())
		c := w.client()
		c.handshake()
		for _, m := range []string{
			`{"channel":"/meta/subscribe","id":"1","clientId":"$","subscription":["/a","/service/x","/a","/b","/a"]}`,
			`{"channel":"/meta/subscribe","id":"2","clientId":"$","subscription":["/b","/service/x"]}`,
			`{"channel":"/meta/subscribe","id":"3","clientId":"$","subscription":["/b","/c"]}`,
			`{"channel":"/meta/unsubscribe","id":"4","clientId":"$","subscription":["/b","/service/x","/b"]}`,
		} {
			require.Equal(t, bayeux.Succeeded, c.ask(m).Outcome)
		}
		require.NoError(t, w.Session(c.id).Subscribe("/c"))
		w.Session(c.id).Disconnect()
		var got [][]string
		for ev := range seen {
			switch ev := ev.(type) {
			case server.Subscribed:
				got = append(got, ev.Channels)
			case server.Unsubscribed:
				got = append(got, ev.Channels)
			case server.SessionRemoved:
				assert.Equal(t, [][]string{{"/a", "/b"}, {"/c"}, {"/b"}, {"/a", "/c"}}, got)
				return
			}
		}
	})
}

// Whoever hears of the end finds nothing of the session any more.
func TestTheEndOfASessionIsToldWhenItIsGone(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		seen := w.Events(t.Context())
		var left atomic.Int64
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ev := range seen {
				if gone, ok := ev.(server.SessionRemoved); ok {
					left.Store(int64(w.SubscriberCount("/99")))
					if w.Session(gone.Session.ID()) != nil {
						left.Add(1000)
					}
					return
				}
			}
		}()
		c := w.session()
		s := w.Session(c.id)
		for n := range 100 {
			require.NoError(t, s.Subscribe("/"+strconv.Itoa(n)))
		}
		s.Disconnect()
		<-ended
		assert.Zero(t, left.Load())
	})
}
