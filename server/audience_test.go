package server_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// Who has been told that it is subscribed gets what is queued from then on, also
// where the message was under way before its pattern existed.
func TestWhoSubscribesToANewPatternWhileAMessageIsUnderWayGetsIt(t *testing.T) {
	var joins func()
	policy := server.Policy{Publish: func(context.Context, *server.Session, *server.Publication) error {
		joins()
		return nil
	}}
	everywhere(t, func(t *testing.T, w *world) {
		joins = func() {}
		w.Configure("/price/*", server.ChannelOptions{SendLast: true})
		publisher, late := w.session("/price/a"), w.session()
		publisher.ask(`{"channel":"/price/a","id":"1","clientId":"$","data":1}`)
		joins = func() {
			joins = func() {}
			require.NoError(t, w.Session(late.id).Subscribe("/price/*"))
		}
		publisher.ask(`{"channel":"/price/a","id":"2","clientId":"$","data":2}`)
		assert.Equal(t, []string{"1", "2"}, late.data(2))
	}, server.WithPolicy(policy))
}

// Each gets a message of its own; who comes while these are made has one made too.
func TestWhoSubscribesWhileMessagesAreMadeForEachGetsOne(t *testing.T) {
	var w *world
	var late *wire
	var joined atomic.Bool
	mark := func(_ context.Context, s *server.Session, m *bayeux.Message) error {
		if late != nil && s.ID() != late.id && joined.CompareAndSwap(false, true) {
			if err := w.Session(late.id).Subscribe("/a"); err != nil {
				return err
			}
		}
		m.Data = []byte(`"for one"`)
		return nil
	}
	everywhere(t, func(t *testing.T, ww *world) {
		w, late = ww, nil
		joined.Store(false)
		publisher := w.session("/a")
		late = w.session()
		publisher.ask(`{"channel":"/a","id":"1","clientId":"$","data":1}`)
		assert.Equal(t, []string{`"for one"`}, publisher.data(1))
		assert.Equal(t, []string{`"for one"`}, late.data(1))
		late.quiet()
	}, server.WithExtension(server.Extension{Name: "each", Channels: []string{"/a"}, Deliver: mark}))
}

// Patterns that come meanwhile, of whatever channels, cost nobody a second message.
func TestEachSubscribersMessageIsMadeOnce(t *testing.T) {
	var w *world
	var made atomic.Int32
	count := func(context.Context, *server.Session, *bayeux.Message) error {
		return w.Session(w.wire[0].id).Subscribe("/other" + strconv.Itoa(int(made.Add(1))) + "/*")
	}
	everywhere(t, func(t *testing.T, ww *world) {
		w = ww
		made.Store(0)
		all := []*wire{w.session("/a"), w.session("/a"), w.session("/a")}
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		for _, c := range all {
			assert.Equal(t, []string{"1"}, c.data(1))
		}
		assert.EqualValues(t, len(all), made.Load())
	}, server.WithExtension(server.Extension{Name: "each", Channels: []string{"/a"}, Deliver: count}))
}

// Another may be published while the latest message is made for who subscribes.
func TestTheLatestMessageIsTheLatestWhenItIsQueued(t *testing.T) {
	var w *world
	var publishes atomic.Bool
	next := func(ctx context.Context, _ *server.Session, _ *bayeux.Message) error {
		if publishes.CompareAndSwap(true, false) {
			return w.Publish(ctx, "/a/b", 2)
		}
		return nil
	}
	everywhere(t, func(t *testing.T, ww *world) {
		w = ww
		require.NoError(t, w.Publish(t.Context(), "/a/b", 1))
		c := w.session()
		publishes.Store(true)
		c.ask(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/a/b"}`)
		assert.Equal(t, []string{"2"}, c.data(1))
		c.quiet()
	}, server.WithChannel("/a/*", server.ChannelOptions{SendLast: true}),
		server.WithExtension(server.Extension{Name: "next", Channels: []string{"/a/*"}, Deliver: next}))
}

// What an extension hides from a session is hidden in the latest message too.
func TestTheLatestMessageIsAsTheExtensionsLeaveItForEachSession(t *testing.T) {
	var blind string
	redact := func(_ context.Context, s *server.Session, m *bayeux.Message) error {
		if s.ID() == blind {
			return assert.AnError
		}
		m.Data = []byte(`"redacted"`)
		return nil
	}
	for name, pattern := range map[string]string{"channel": "/a/b", "pattern": "/a/*"} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, w *world) {
				require.NoError(t, w.Publish(t.Context(), "/a/b", "secret"))
				one, other := w.session(), w.session()
				blind = other.id
				for _, c := range []*wire{one, other} {
					c.ask(`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"` + pattern + `"}`)
				}
				assert.Equal(t, []string{`"redacted"`}, one.data(1))
				other.quiet()
				require.NoError(t, w.Publish(t.Context(), "/b/c", "for all"))
				other.ask(`{"channel":"/meta/subscribe","id":"t","clientId":"$","subscription":"/b/c"}`)
				assert.Equal(t, []string{`"for all"`}, other.data(1))
			}, server.WithChannel("/b/*", server.ChannelOptions{SendLast: true}), server.WithChannel("/a/*", server.ChannelOptions{SendLast: true}),
				server.WithExtension(server.Extension{Name: "redact", Channels: []string{"/a/*"}, Deliver: redact}))
		})
	}
}

// A message that is one too many for very many ends each of them once, and nobody
// gets what comes behind a hole.
func TestAMessageThatFillsVeryManyOutboxesEndsEachSessionOnce(t *testing.T) {
	const n = 50
	everywhere(t, func(t *testing.T, w *world) {
		for range n {
			w.session("/a")
		}
		var held []*server.Session
		for s := range w.Sessions() {
			held = append(held, s)
		}
		batch(held, func() {
			for i := range 5 {
				require.NoError(t, w.Publish(t.Context(), "/a", i))
			}
		})
		require.Eventually(t, func() bool { w.settle(); return w.Stats().Sessions == 0 }, 10*time.Second, time.Millisecond)
		assert.EqualValues(t, n, w.Stats().Limited["session_queue"])
	}, server.WithLimits(server.Limits{SessionMessages: 2}))
}

// batch holds back what is sent to all of them while f runs.
func batch(sessions []*server.Session, f func()) {
	if len(sessions) == 0 {
		f()
		return
	}
	sessions[0].Batch(func() { batch(sessions[1:], f) })
}

// A policy may end the session that it was asked about: it is nowhere afterwards.
func TestASessionThatEndsInItsHandshakeIsForgotten(t *testing.T) {
	for name, end := range map[string]func(s *server.Session){
		"kicked":   func(s *server.Session) { s.Kick("no") },
		"flooded":  func(s *server.Session) { s.Send("/a", 1); s.Send("/a", 2) },
		"too late": func(s *server.Session) { s.Expire(time.Now().Add(-time.Hour), 0); <-s.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			policy := server.Policy{Handshake: func(_ context.Context, s *server.Session, _ *bayeux.Message) error {
				end(s)
				return nil
			}}
			everywhere(t, func(t *testing.T, w *world) {
				for range 3 {
					m := w.client().ask(`{"channel":"/meta/handshake","id":"1","version":"1.0"}`)
					assert.Equal(t, "403::handshake_denied", m.Error)
				}
				assert.Zero(t, w.Stats().Sessions)
				for range w.Sessions() {
					assert.Fail(t, "there is a session")
				}
			}, server.WithPolicy(policy), server.WithLimits(server.Limits{SessionMessages: 1}))
		})
	}
}

// A message that may wait for a minute does not make others wait that long.
func TestAShortLazinessDoesNotWaitForALongOne(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/slow", "/fast")
		require.NoError(t, w.Publish(t.Context(), "/slow", 1))
		require.NoError(t, w.Publish(t.Context(), "/fast", 2))
		began := time.Now()
		assert.Equal(t, []string{"1", "2"}, c.data(2))
		assert.Less(t, time.Since(began), 5*time.Second)
	}, server.WithChannel("/slow", server.ChannelOptions{Lazy: time.Minute}), server.WithChannel("/fast", server.ChannelOptions{Lazy: 100 * time.Millisecond}))
}

// A session's own Deliver may keep messages from it: nothing that it subscribes to
// afterwards comes past it, also where many publish meanwhile.
func TestNothingPassesTheDeliverOfWhoSubscribesBehindIt(t *testing.T) {
	w := newRealWorld(t, bayeux.LongPolling, server.WithChannel("/a", server.ChannelOptions{Overflow: server.KeepLatest}))
	defer w.end()
	join := func() *server.Session { return w.Session(w.client().handshake().ClientID) } // which waits for no connect
	for range 30 {
		require.NoError(t, join().Subscribe("/a"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	defer publishers.Wait()
	defer cancel()
	for range 4 {
		publishers.Go(func() {
			for ctx.Err() == nil {
				assert.NoError(t, w.Publish(context.Background(), "/a", 1))
			}
		})
	}
	refuse := server.Extension{Deliver: func(context.Context, *server.Session, *bayeux.Message) error { return errors.New("not for this one") }}
	for i := range 200 {
		s := join()
		s.Extend(refuse)
		require.NoError(t, s.Subscribe([]string{"/a", "/**", "/*"}[i%3]))
		require.NoError(t, w.Publish(t.Context(), "/a", 2))
		assert.Zero(t, s.Outbox().Len())
		s.Disconnect()
	}
}
