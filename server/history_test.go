package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/server"
)

// A shelf is a history whose messages are safe when the test says so.
type shelf struct {
	mu      sync.Mutex
	deliver []func()
	failing bool
	joining *server.Joining
	asked   []context.Context // those of Append
}

func (h *shelf) history() *server.History {
	return &server.History{
		Keeps: func(ch string) bool { return ch == "/kept" },
		Append: func(ctx context.Context, _ string, data codec.Raw, deliver func(codec.Raw)) func() error {
			h.asked = append(h.asked, ctx)
			if h.failing {
				return func() error { return errors.New("disk full") }
			}
			safe := make(chan struct{})
			data = data.Clone()
			h.mu.Lock()
			defer h.mu.Unlock()
			h.deliver = append(h.deliver, func() { deliver(data); close(safe) })
			return func() error { <-safe; return nil }
		},
		Join: func(context.Context, *server.Session, *bayeux.Message) func(string) (func(*server.Joining), error) {
			return func(ch string) (func(*server.Joining), error) {
				if ch != "/kept" && ch != "/**" {
					return nil, nil
				}
				return func(j *server.Joining) { h.joining = j }, nil
			}
		},
	}
}

func TestAPublishIsToldAndDeliveredWhenItIsSafe(t *testing.T) {
	h := &shelf{}
	onBoth(t, func(t *testing.T, w *world) {
		*h = shelf{}
		a, b := w.session("/kept"), w.session()
		h.joining.Live()
		b.send(`{"channel":"/kept","id":"p1","clientId":"$","data":1}`)
		assert.Empty(t, b.all())
		assert.Empty(t, a.all())
		h.deliver[0]()
		assert.Equal(t, bayeux.Succeeded, b.expect("/kept", "p1").Outcome)
		assert.Equal(t, "1", string(a.events(1)[0].Data))
		h.failing = true
		b.send(`{"channel":"/kept","id":"p2","clientId":"$","data":1}`)
		assert.Equal(t, "500::history_failed", b.expect("/kept", "p2").Error)
		assert.ErrorContains(t, w.Publish(t.Context(), "/kept", 1), "disk full")
		assert.NotNil(t, server.PeerOf(h.asked[0]), "the publisher's context")
		assert.Equal(t, t.Context(), h.asked[2])
	}, server.WithHistory(h.history()))
}

// Channels that are not kept have no past, but a latest message; those that are kept
// have had it with the past.
func TestWhoHasHadThePastGetsTheLatestMessageOfOtherChannels(t *testing.T) {
	h := &shelf{}
	onBoth(t, func(t *testing.T, w *world) {
		*h = shelf{}
		kept := make(chan error)
		go func() { kept <- w.Publish(context.Background(), "/kept", 1) }()
		require.Eventually(t, func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.deliver) == 1 }, 10*time.Second, time.Millisecond)
		h.deliver[0]()
		require.NoError(t, <-kept)
		require.NoError(t, w.Publish(t.Context(), "/price/a", 2))
		for _, pattern := range []string{"/**", "/kept"} {
			c := w.session(pattern)
			assert.Empty(t, c.all())
			h.joining.Live()
			if pattern == "/**" {
				assert.Equal(t, []string{"2"}, c.data(1))
			}
			c.quiet()
		}
	}, server.WithHistory(h.history()), server.WithChannel("/**", server.ChannelOptions{SendLast: true}))
}

// What cannot be encoded for its subscribers is kept all the same: the log says
// so, and the next message comes.
func TestAKeptMessageThatAnExtensionSpoilsIsInTheLog(t *testing.T) {
	h := &shelf{}
	var log journal
	onBoth(t, func(t *testing.T, w *world) {
		*h, log = shelf{}, journal{}
		c := w.session("/kept")
		h.joining.Live()
		for i, data := range []string{`"spoil"`, `"well"`} {
			c.send(fmt.Sprintf(`{"channel":"/kept","id":"p%d","clientId":"$","data":%s}`, i, data))
			h.deliver[i]()
			assert.Equal(t, bayeux.Succeeded, c.expect("/kept", fmt.Sprint("p", i)).Outcome)
		}
		assert.Equal(t, []string{`"well"`}, c.data(1))
		lines := log.lines("message cannot be encoded")
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], "level=ERROR")
		assert.Contains(t, lines[0], "channel=/kept")
	}, server.WithHistory(h.history()), logTo(&log, slog.LevelInfo), server.WithExtension(server.Extension{
		Channels: []string{"/kept"},
		Outgoing: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			if string(m.Data) == `"spoil"` {
				m.Ext = bayeux.Ext{"x": []byte("{")}
			}
			return nil
		},
	}))
}

func TestAJoiningSubscriptionGetsThePastFirstAndEndsWithItsSession(t *testing.T) {
	h := &shelf{}
	onBoth(t, func(t *testing.T, w *world) {
		*h = shelf{}
		c := w.session("/kept")
		require.NotNil(t, h.joining)
		raw, err := codec.Encode("past")
		require.NoError(t, err)
		require.NoError(t, h.joining.Room())
		h.joining.Send("/kept", raw)
		assert.Equal(t, `"past"`, string(c.events(1)[0].Data))
		c.send(`{"channel":"/meta/unsubscribe","id":"u","clientId":"$","subscription":"/kept"}`)
		synctest.Wait()
		assert.Error(t, h.joining.Context().Err())
		assert.Error(t, h.joining.Room())
		h.joining.Live()
		assert.Zero(t, w.SubscriberCount("/kept"))
	}, server.WithHistory(h.history()))
}

// Clients believe what a history says of its messages, so no other client may say it.
func TestWhatIsAHistorysOwnIsTakenOffWhatClientsPublish(t *testing.T) {
	h := (&shelf{}).history()
	h.Keeps, h.Ext = func(string) bool { return false }, []string{"past", "number"}
	forged := `{"channel":"/other","id":"p","clientId":"$","data":1,"ext":{"past":1,"own":[2],"number":3}}`
	for name, opts := range map[string][]server.Option{
		"": nil,
		" and no extension sees it": {server.WithExtension(server.Extension{
			Channels: []string{"/other"},
			Incoming: func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
				return m.Ext.Set("seen", len(m.Ext))
			},
		})},
	} {
		t.Run("taken off"+name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				c := w.session("/other")
				assert.Equal(t, bayeux.Succeeded, c.ask(forged).Outcome)
				want := bayeux.Ext{"own": []byte("[2]")}
				if opts != nil {
					want["seen"] = []byte("1")
				}
				assert.Equal(t, want, c.events(1)[0].Ext)
				assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/other","id":"q","clientId":"$","data":1,"ext":{"past":1}}`).Outcome)
				delete(want, "own")
				if opts != nil {
					want["seen"] = []byte("0")
				}
				assert.Equal(t, len(want), len(c.events(1)[0].Ext))
			}, append([]server.Option{server.WithHistory(h)}, opts...)...)
		})
	}
}

func TestAHistoryLacksNothing(t *testing.T) {
	_, err := server.New(server.WithHistory(&server.History{}))
	assert.ErrorContains(t, err, "history")
}

// A delivery holds others up, and what an application does when a channel is made
// has no place in it: the channel of a message that waits to be safe is not swept.
func TestNoChannelIsMadeInADelivery(t *testing.T) {
	h := &shelf{}
	onBoth(t, func(t *testing.T, w *world) {
		*h = shelf{}
		made := 0
		w.OnCreate("/kept", func(*server.Channel) { made++ })
		said := make(chan error, 1)
		go func() { said <- w.Publish(context.Background(), "/kept", 1) }()
		time.Sleep(time.Minute)
		w.settle()
		assert.Equal(t, 1, made)
		h.deliver[0]()
		require.NoError(t, <-said)
		assert.Equal(t, 1, made)
		h.failing = true
		require.Error(t, w.Publish(t.Context(), "/kept", 2))
		time.Sleep(time.Minute)
		for ch := range w.Channels() {
			assert.NotEqual(t, "/kept", ch.Name, "nobody uses it any more")
		}
	}, server.WithHistory(h.history()))
}

// A history that panics leaves nothing behind in the server.
func TestAChannelWhoseHistoryPanicsGoesAsOthersDo(t *testing.T) {
	h := (&shelf{}).history()
	h.Append = func(context.Context, string, codec.Raw, func(codec.Raw)) func() error { panic("disk on fire") }
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c, before := w.session(), w.Stats().Channels
		assert.Error(t, w.Publish(t.Context(), "/kept", 1))
		assert.Equal(t, "500::internal", c.ask(`{"channel":"/kept","id":"p","clientId":"$","data":1}`).Error)
		assert.Equal(t, before+1, w.Stats().Channels)
		time.Sleep(10 * time.Second)
		assert.Equal(t, before, w.Stats().Channels)
	}, server.WithHistory(h))
}
