package server_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/codec"
	"github.com/gocometd/cometd/server"
)

// A sensor that reports to nobody now and then makes its channel anew each time,
// for unused ones go.
func TestAChannelThatHasGoneCountsForItsSessionNoMore(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session()
		for i := range 2000 {
			time.Sleep(5 * time.Second)
			m := c.ask(`{"channel":"/sensor","id":"x","clientId":"$","data":1}`)
			if !assert.Equal(t, bayeux.Succeeded, m.Outcome, "publish %d: %s", i, m.Error) {
				return
			}
		}
	}, server.WithTiming(server.Timing{Timeout: 24 * time.Hour}))
}

// What a limit leaves room for is one channel's only, also while the application
// thinks about many.
func TestASlowPolicyLetsNoMoreChannelsComeThanALimit(t *testing.T) {
	slow := server.WithPolicy(server.Policy{Create: func(context.Context, *server.Session, string, *bayeux.Message) error {
		time.Sleep(time.Second)
		return nil
	}})
	kept := server.WithHistory(&server.History{
		Keeps:  func(string) bool { return false },
		Append: func(context.Context, string, codec.Raw, func(codec.Raw)) func() error { return nil },
		Join: func(context.Context, *server.Session, *bayeux.Message) func(string) (func(*server.Joining), error) {
			return func(string) (func(*server.Joining), error) { return func(*server.Joining) {}, nil }
		},
	})
	ways := map[string]string{
		"publish":   `{"channel":"/new/%d","id":"x","clientId":"$","data":1}`,
		"subscribe": `{"channel":"/meta/subscribe","id":"x","clientId":"$","subscription":"/new/%d"}`,
	}
	for way, message := range ways {
		for past, history := range map[string]server.Option{"": server.Options(), " to a history": kept} {
			t.Run(way+past, func(t *testing.T) {
				onBoth(t, func(t *testing.T, w *world) {
					const asked, limit = 20, 10
					room := limit - w.Stats().Channels
					all := make([]*wire, asked)
					for i := range all {
						all[i] = w.session()
					}
					for i, c := range all {
						c.send(fmt.Sprintf(message, i))
					}
					time.Sleep(time.Minute)
					refused := 0
					for _, c := range all {
						for _, m := range c.all() {
							if m.Error == "429:channels,10:limit_exceeded" {
								refused++
							}
						}
					}
					assert.Equal(t, asked-room, refused)
					assert.EqualValues(t, refused, w.Stats().Limited["channels"])
				}, slow, history, server.WithLimits(server.Limits{Channels: 10}), server.WithTiming(server.Timing{Timeout: time.Hour}))
			})
		}
	}
}
