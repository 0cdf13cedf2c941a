package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

const shakesHands = `{"channel":"/meta/handshake","id":"h","version":"1.0","supportedConnectionTypes":["websocket","long-polling"]}`

// whoDecides are the ways of an application to have decide run in a handshake.
func whoDecides(decide func(context.Context, *server.Session, *bayeux.Message) error) map[string]server.Option {
	meta := []string{bayeux.MetaHandshake}
	return map[string]server.Option{
		"policy":   server.WithPolicy(server.Policy{Handshake: decide}),
		"incoming": server.WithExtension(server.Extension{Channels: meta, Incoming: decide}),
		"outgoing": server.WithExtension(server.Extension{Channels: meta, Outgoing: decide}),
	}
}

func TestNeitherCloseNorShutdownWaitsForAHandshakeThatWaitsForItsContext(t *testing.T) {
	asked := make(chan struct{}, 1)
	for name, decide := range whoDecides(func(ctx context.Context, _ *server.Session, _ *bayeux.Message) error {
		asked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}) {
		test := func(end func(*server.Server) error) func(t *testing.T, w *world) {
			return func(t *testing.T, w *world) {
				c := w.client()
				c.send(shakesHands)
				<-asked
				begin := time.Now()
				require.NoError(t, end(w.Server))
				assert.Less(t, time.Since(begin), 10*time.Second)
				assert.Zero(t, w.Stats().Sessions)
				if name != "outgoing" { // which has deleted the answer
					assert.Equal(t, transport.GoingAway, transport.ReasonOf(c.broken()))
				}
			}
		}
		t.Run("Close "+name, func(t *testing.T) { everywhere(t, test((*server.Server).Close), decide) })
		t.Run("Shutdown "+name, func(t *testing.T) {
			onBoth(t, test(func(srv *server.Server) error { return srv.Shutdown(context.Background()) }), decide)
		})
	}
}

// Whether its code looks at its context or not: the client may come again.
func TestAHandshakeThatHangsIsRefusedWhereThatIsBounded(t *testing.T) {
	for does, decide := range map[string]func(context.Context) error{
		"waits for its context": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"does not look at it":   func(context.Context) error { time.Sleep(1500 * time.Millisecond); return nil },
	} {
		for name, opt := range whoDecides(func(ctx context.Context, _ *server.Session, m *bayeux.Message) error {
			if m.ID == "0" {
				return nil
			}
			return decide(ctx)
		}) {
			if name == "outgoing" {
				continue // there is a session already, as below
			}
			t.Run(name+" "+does, func(t *testing.T) {
				everywhere(t, func(t *testing.T, w *world) {
					c := w.client()
					m := c.ask(shakesHands)
					assert.Equal(t, "500::internal", m.Error)
					assert.Equal(t, &bayeux.Advice{Reconnect: bayeux.HandshakeAgain, Interval: bayeux.SpanOf(5 * time.Second)}, m.Advice)
					assert.Zero(t, w.Stats().Sessions)
					assert.Equal(t, bayeux.Succeeded, c.ask(strings.Replace(shakesHands, `"h"`, `"0"`, 1)).Outcome)
				}, opt, server.WithLimits(server.Limits{Handshake: -1}), server.WithTiming(server.Timing{Processing: 500 * time.Millisecond, Sweep: 20 * time.Millisecond}))
			})
		}
	}
}

// The session of a handshake has ended when an extension takes too long with the answer.
func TestAnAnswerToAHandshakeThatHangsCostsItsSessionWhereThatIsBounded(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		m := c.ask(shakesHands)
		assert.Equal(t, bayeux.Succeeded, m.Outcome)
		assert.Nil(t, w.Session(m.ClientID))
	}, whoDecides(func(ctx context.Context, _ *server.Session, _ *bayeux.Message) error { <-ctx.Done(); return nil })["outgoing"],
		server.WithTiming(server.Timing{Processing: 100 * time.Millisecond, Sweep: 20 * time.Millisecond}))
}

// The time that an application takes is none that its client has wasted, over a socket
// no more than over HTTP.
func TestAHandshakeIsInTimeHoweverLongItTakesToDecide(t *testing.T) {
	for name, decide := range whoDecides(func(context.Context, *server.Session, *bayeux.Message) error {
		time.Sleep(800 * time.Millisecond)
		return nil
	}) {
		run := onBoth
		if name == "policy" {
			run = everywhere
		}
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w *world) {
				c := w.client()
				c.handshake()
				c.begin()
				assert.Empty(t, w.Stats().Limited)
			}, decide, server.WithLimits(server.Limits{Handshake: 400 * time.Millisecond}), server.WithTiming(server.Timing{Sweep: 20 * time.Millisecond}))
		})
	}
}

// Whose handshakes are refused has the rest of its time for others: else it could keep
// the socket.
func TestARefusedHandshakeGivesNoMoreTimeForAnother(t *testing.T) {
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.client()
		begin, refused := time.Now(), 0
		for len(c.errs) == 0 && refused < 20 {
			assert.Equal(t, "403:no:handshake_denied", c.ask(shakesHands).Error)
			refused++
			time.Sleep(100 * time.Millisecond)
		}
		assert.ErrorContains(t, c.broken(), "idle")
		assert.GreaterOrEqual(t, time.Since(begin), 700*time.Millisecond, "the time of its application was not its own")
		assert.Less(t, refused, 10)
	}, server.WithPolicy(server.Policy{Handshake: func(context.Context, *server.Session, *bayeux.Message) error {
		time.Sleep(100 * time.Millisecond)
		return server.Deny("no")
	}}), server.WithLimits(server.Limits{Handshake: 350 * time.Millisecond}), server.WithTiming(server.Timing{Sweep: 20 * time.Millisecond}))
}
