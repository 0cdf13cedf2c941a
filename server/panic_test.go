package server_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// internal asserts that err says that the application's code has failed.
func internal(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*bayeux.Error](err)
	if assert.True(t, ok, "%v", err) {
		assert.Equal(t, 500, e.Code)
		assert.Equal(t, "internal", e.Message)
	}
}

func TestAPanicInAListenerIsAnErrorForWhoPublishes(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		w.Handle("/a", func(_ context.Context, _ *server.Session, m *bayeux.Message) error {
			if string(m.Data) == "1" {
				panic("one")
			}
			return nil
		})
		c := w.session("/a")
		internal(t, w.Publish(t.Context(), "/a", 1))
		require.NoError(t, w.Publish(t.Context(), "/a", 2))
		assert.Equal(t, []string{"2"}, c.data(1))
	})
}

func TestAChannelWhoseInitializerPanicsDoesNotExistAndIsTriedAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var tries atomic.Int32
		w.OnCreate("/room/*", func(ch *server.Channel) {
			if tries.Add(1)%3 != 0 {
				panic("not yet")
			}
		})
		c := w.session()
		for i, ch := range []string{"/room/1", "/room/2"} {
			internal(t, w.Publish(t.Context(), ch, 1))
			assert.Nil(t, w.Channel(ch))
			internal(t, w.Session(c.id).Subscribe(ch))
			assert.Nil(t, w.Channel(ch))
			assert.NotContains(t, w.Session(c.id).Subscriptions(), ch)
			id := fmt.Sprint("s", i)
			assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/meta/subscribe","id":"`+id+`","clientId":"$","subscription":"`+ch+`"}`).Outcome)
			assert.NotNil(t, w.Channel(ch))
			refused := c.ask(`{"channel":"/meta/subscribe","id":"r` + id + `","clientId":"$","subscription":"/room/x` + id + `"}`)
			assert.Equal(t, "500::internal", refused.Error)
			tries.Add(2)
		}
		assert.Equal(t, []string{"/room/1", "/room/2"}, w.Session(c.id).Subscriptions())
	})
}

func TestWhoWaitsForAnInitializerThatPanicsRunsItAgain(t *testing.T) {
	everywhere(t, func(t *testing.T, w *world) {
		var tries atomic.Int32
		w.OnCreate("/room/**", func(ch *server.Channel) {
			if tries.Add(1) == 1 {
				panic("the first")
			}
		})
		var failed atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if w.Publish(context.Background(), "/room/1", 1) != nil {
					failed.Add(1)
				}
			})
		}
		all.Wait()
		assert.EqualValues(t, 1, failed.Load())
		assert.EqualValues(t, 2, tries.Load())
	})
}
