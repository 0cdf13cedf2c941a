package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

type tenant struct{}

// What middleware puts into the context of a request, or of the one that opened
// a socket, is in the context of the handlers, without its deadline.
func TestTheValuesOfARequestReachItsHandlers(t *testing.T) {
	var opened *server.Server
	srv, err := cometd.NewServer(server.WithExtension(server.Extension{Name: "opened", Opened: func(s *server.Server) { opened = s }}))
	require.NoError(t, err)
	defer srv.Close()
	assert.Same(t, srv, opened)
	srv.HandleService("/service/tenant", func(ctx context.Context, _ *server.Session, _ *bayeux.Message) (any, error) {
		_, ends := ctx.Deadline()
		assert.False(t, ends)
		assert.Nil(t, ctx.Value("another"))
		return ctx.Value(tenant{}), nil
	})
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		srv.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenant{}, "Skalica")))
	}))
	defer hs.Close()
	for _, d := range []transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()} {
		c, err := client.New(hs.URL, client.WithTransports(d))
		require.NoError(t, err)
		got, err := client.Call[string](t.Context(), c, "/service/tenant", nil)
		assert.NoError(t, err, d.Type())
		assert.Equal(t, "Skalica", got, d.Type())
		c.Close()
		<-c.Done()
	}
}

func TestWhatAHandlerDerivesFromItsContextEndsWithTheSessionAndHasNoGoroutine(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		var derived []context.Context
		w.HandleService("/service/derive", func(ctx context.Context, _ *server.Session, _ *bayeux.Message) (any, error) {
			before := runtime.NumGoroutine()
			for range 100 {
				d, cancel := context.WithTimeout(ctx, time.Hour)
				t.Cleanup(cancel)
				derived = append(derived, d)
			}
			assert.Less(t, runtime.NumGoroutine(), before+50)
			return server.NoAnswer, nil
		})
		c := w.session()
		c.ask(`{"channel":"/service/derive","id":"1","clientId":"$"}`)
		require.Len(t, derived, 100)
		assert.NoError(t, derived[0].Err())
		c.ask(`{"channel":"/meta/disconnect","id":"2","clientId":"$"}`)
		w.settle()
		for _, d := range derived {
			assert.ErrorIs(t, d.Err(), context.Canceled)
		}
	})
}

// What an extension spoils of a reply is a failure for whoever waits for it, and
// what it spoils of an event is no event.
func TestWhatAnExtensionSpoilsIsNotSent(t *testing.T) {
	spoil := func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		if m.ID == "spoil" || string(m.Data) == `"spoil"` {
			m.Ext = bayeux.Ext{"x": []byte("{")}
		}
		return nil
	}
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session("/a")
		reply := c.ask(`{"channel":"/meta/subscribe","id":"spoil","clientId":"$","subscription":"/b"}`)
		assert.Equal(t, bayeux.Failed, reply.Outcome)
		assert.Equal(t, "500::internal", reply.Error)
		require.NoError(t, w.Publish(t.Context(), "/a", "spoil"))
		require.NoError(t, w.Publish(t.Context(), "/a", "well"))
		assert.Equal(t, []string{`"well"`}, c.data(1))
	}, server.WithExtension(server.Extension{Name: "spoils", Outgoing: func(ctx context.Context, s *server.Session, m *bayeux.Message) error {
		if m.Channel == "/a" {
			return nil
		}
		return spoil(ctx, s, m)
	}, Deliver: spoil}))
}

// A broadcast that an extension spoils reaches nobody, and its publisher is told.
func TestABroadcastThatAnExtensionSpoilsIsRefused(t *testing.T) {
	spoil := func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
		if string(m.Data) == `"spoil"` {
			m.Ext = bayeux.Ext{"x": []byte("{")}
		}
		return nil
	}
	everywhere(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		refused := c.ask(`{"channel":"/a","id":"p","clientId":"$","data":"spoil"}`)
		assert.Equal(t, bayeux.Failed, refused.Outcome)
		assert.ErrorContains(t, w.Publish(t.Context(), "/a", "spoil"), "/a")
		require.NoError(t, w.Publish(t.Context(), "/a", "well"))
		assert.Equal(t, []string{`"well"`}, c.data(1))
		c.quiet()
	}, server.WithExtension(server.Extension{Name: "spoils", Channels: []string{"/a"}, Outgoing: spoil}))
}

// A service whose refusal has data that is no JSON has refused all the same.
func TestARefusalWithDataThatCannotBeEncodedIsARefusal(t *testing.T) {
	var log journal
	onBoth(t, func(t *testing.T, w *world) {
		log = journal{}
		w.HandleService("/service/odd", func(context.Context, *server.Session, *bayeux.Message) (any, error) {
			return nil, &bayeux.Error{Code: 404, Message: "no_such_contact", Data: []byte("{")}
		})
		c := w.session()
		assert.Equal(t, "404::no_such_contact", c.ask(`{"channel":"/service/odd","id":"1","clientId":"$"}`).Error)
		c.quiet()
		assert.Len(t, log.lines("failure cannot be sent"), 1)
	}, logTo(&log, slog.LevelInfo))
}

// A filter that panics loses nothing, and a client that counts its messages has
// no filter.
func TestAFilterOfTheOutboxThatFails(t *testing.T) {
	broken := func(ms []*bayeux.Message) []*bayeux.Message {
		for _, m := range ms {
			switch string(m.Data) {
			case "1":
				panic("one")
			case "2":
				m.Data = []byte("{") // no JSON
			}
		}
		return ms
	}
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session("/a")
		require.NoError(t, w.Publish(t.Context(), "/a", 1))
		assert.Equal(t, []string{"1"}, c.data(1), "as it was")
		require.NoError(t, w.Publish(t.Context(), "/a", 2))
		c.quiet()
		o := w.Session(c.id).Outbox()
		assert.True(t, o.Filter(nil))
		require.NoError(t, w.Publish(t.Context(), "/a", 3))
		assert.Equal(t, []string{"3"}, c.data(1))
		assert.True(t, o.Filter(broken))
		assert.False(t, o.Number(func(uint64) []byte { return nil }))
		assert.True(t, o.Filter(nil))
		assert.True(t, o.Number(func(uint64) []byte { return []byte("{}") }))
		assert.False(t, o.Filter(broken))
	}, server.WithPolicy(server.Policy{Handshake: func(_ context.Context, s *server.Session, _ *bayeux.Message) error {
		s.Outbox().Filter(broken)
		return nil
	}}))
}

func TestAFilterOfTheOutboxSeesWhatLeavesWithTheHandshake(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		c := w.client()
		m := c.handshake()
		assert.Equal(t, "1", string(m.Extra["x-messages"]), "which counts what is left")
		assert.Equal(t, []string{"2"}, c.data(1))
		c.begin()
		c.quiet()
	}, server.WithHandshakeDelivery(), server.WithPolicy(server.Policy{Handshake: func(_ context.Context, s *server.Session, _ *bayeux.Message) error {
		s.Outbox().Filter(func(ms []*bayeux.Message) []*bayeux.Message {
			return slices.DeleteFunc(ms, func(m *bayeux.Message) bool { return string(m.Data) == "1" })
		})
		return errors.Join(s.Send("/greeting", 1), s.Send("/greeting", 2))
	}}))
}
