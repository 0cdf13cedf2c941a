package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
)

// What an option cannot mean is an error of New that says so.
func TestOptionsThatMeanNothingAreRefused(t *testing.T) {
	for want, o := range map[string]server.Option{
		"browser ids":     server.WithBrowserIDs(nil),
		"session ids":     server.WithSessionIDs(nil),
		"shutdown hosts":  server.WithShutdownHosts("a", ""),
		"channel options": server.WithChannel("no slash", server.ChannelOptions{}),
		"sweep":           server.WithTiming(server.Timing{Sweep: -time.Second}),
		"parameter":       server.WithTransports(longpoll.NewCallbackAcceptor(longpoll.WithCallback("", 64))),
		"origin":          server.WithOrigins("no origin"),
	} {
		_, err := server.New(o)
		assert.ErrorContains(t, err, want)
	}
}

// Mistakes of a program are errors or panics where they are made, not messages
// that nobody gets.
func TestWhatTheApplicationGetsWrongItIsTold(t *testing.T) {
	service := func(context.Context, *server.Session, *bayeux.Message) (any, error) { return nil, nil }
	synced(t, bayeux.WebSocket, func(t *testing.T, w *world) {
		c := w.session("/a")
		s := w.Session(c.id)
		never := make(chan int) // no JSON
		assert.ErrorContains(t, w.Publish(t.Context(), "/a", never), "chan int")
		assert.ErrorContains(t, s.Send("/a", never), "chan int")
		assert.ErrorContains(t, w.SendUser("u", "/a", never), "chan int")
		assert.Error(t, w.Configure("no slash", server.ChannelOptions{}))
		assert.Error(t, s.Subscribe("no slash"))
		var e *bayeux.Error
		require.ErrorAs(t, s.Subscribe("/meta/connect"), &e)
		assert.Equal(t, 403, e.Code)

		remove := w.HandleService("/service/a", service)
		assert.Panics(t, func() { w.HandleService("/service/a", service) }, "there is one")
		remove()
		assert.NotPanics(t, func() { w.HandleService("/service/a", service) })
		assert.Panics(t, func() { w.HandleService("/a", service) }, "no service channel")
		assert.Panics(t, func() { server.Parallel(0, service) })
	})
}
