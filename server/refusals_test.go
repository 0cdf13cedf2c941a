package server_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

var errUnwanted = errors.New("unwanted")

func unwanted(ctx context.Context, s *server.Session, m *bayeux.Message) error {
	if string(m.Data) == `"bad"` {
		return errUnwanted
	}
	return nil
}

// An extension may delete an event for all on its way out, or for one of them,
// and the others hear what comes.
func TestAnExtensionMayDeleteAnEventForAllOrForOne(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		all := w.session("/a")
		require.NoError(t, w.Publish(t.Context(), "/a", "good"))
		assert.ErrorIs(t, w.Publish(t.Context(), "/a", "bad"), errUnwanted, "who publishes is told")
		reply := all.ask(`{"channel":"/a","id":"p","clientId":"$","data":"bad"}`)
		assert.Equal(t, bayeux.Failed, reply.Outcome)
		require.NoError(t, w.Publish(t.Context(), "/a", "good too"))
		assert.Equal(t, []string{`"good"`, `"good too"`}, all.data(2))
	}, server.WithExtension(server.Extension{Name: "out", Channels: []string{"/a"}, Outgoing: unwanted}))

	onBoth(t, func(t *testing.T, w *world) {
		one, other := w.session("/a"), w.session("/a")
		w.Session(one.id).Extend(server.Extension{Name: "own", Channels: []string{"/a"}, Deliver: unwanted})
		require.NoError(t, w.Publish(t.Context(), "/a", "bad"))
		require.NoError(t, w.Publish(t.Context(), "/a", "good"))
		assert.Equal(t, []string{`"bad"`, `"good"`}, other.data(2))
		assert.Equal(t, []string{`"good"`}, one.data(1))
	})

	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		require.NoError(t, w.Publish(t.Context(), "/a", "bad"))
		require.NoError(t, w.Publish(t.Context(), "/a", "good"))
		assert.Equal(t, []string{`"good"`}, c.data(1))
	}, server.WithExtension(server.Extension{Name: "each", Channels: []string{"/a"}, Deliver: unwanted}))
}

// A filter or listener may refuse what the server publishes as well.
func TestAListenerRefusesWhatTheServerPublishes(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		w.Handle("/a", unwanted)
		assert.ErrorIs(t, w.Publish(t.Context(), "/a", "bad"), errUnwanted)
		require.NoError(t, w.Publish(t.Context(), "/a", "good"))
		assert.Equal(t, []string{`"good"`}, c.data(1))
	})
}

// A service that fails, panics, or answers what is no JSON fails its caller's
// call, in turn and beside it, and nothing else.
func TestAServiceThatFailsAnswersItsCaller(t *testing.T) {
	service := func(_ context.Context, _ *server.Session, m *bayeux.Message) (any, error) {
		switch string(m.Data) {
		case `"fails"`:
			return nil, bayeux.Errorf(418, "no_coffee")
		case `"panics"`:
			panic("no coffee")
		case `"no JSON"`:
			return make(chan int), nil
		}
		return m.Data, nil
	}
	for name, f := range map[string]server.Service{"in turn": service, "parallel": server.Parallel(1, service)} {
		t.Run(name, func(t *testing.T) {
			var told atomic.Int64
			hooks := server.Hooks{Refused: func(*transport.Peer, *bayeux.Error) { told.Add(1) }}
			synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
				w.HandleService("/service/brew", f)
				c := w.session()
				for _, data := range []string{`"fails"`, `"panics"`, `"no JSON"`, `"works"`} {
					c.send(`{"channel":"/service/brew","id":` + data + `,"clientId":"$","data":` + data + `}`)
				}
				failures, works := 0, 0
				for failures < 3 || works < 1 {
					switch m := c.wait(); {
					case m.Outcome == bayeux.Failed:
						failures++
					case string(m.Data) == `"works"`:
						works++
					}
				}
				assert.Equal(t, 3, failures)
				assert.EqualValues(t, 3, told.Load(), "the hook")
			}, server.WithHooks(hooks))
		})
	}
}

// What a policy is shown is the message as it came.
func TestAPolicySeesThePublication(t *testing.T) {
	seen := 0
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.send(`{"channel":"/a","id":"p","clientId":"$","data":7,"ext":{"x":1}}`, `{"channel":"/a","id":"q","clientId":"$"}`)
		assert.Equal(t, bayeux.Succeeded, c.expect("/a", "p").Outcome)
		assert.Equal(t, bayeux.Failed, c.expect("/a", "q").Outcome)
		assert.Positive(t, seen)
	}, server.WithPolicy(server.Policy{Publish: func(_ context.Context, _ *server.Session, p *server.Publication) error {
		seen++
		var n int
		if err := p.Decode(&n); err != nil {
			return errors.Join(bayeux.Errorf(400, "no_data"), err)
		}
		if m := p.Message(); n != 7 || p.Channel() != "/a" || string(m.Data) != "7" {
			return bayeux.Errorf(400, "another")
		}
		return nil
	}}))
}
