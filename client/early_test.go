package client

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/gocometd/cometd/bayeux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A server may take a subscribe and send events, and the connection break before
// the reply, or the session end: what is missed then is told, between what came
// before and what comes after.
func TestABreakBeforeTheReplyToASubscribeIsAGap(t *testing.T) {
	for name, breaks := range map[string]func(f *fake, d *switchboard){
		"break":        func(_ *fake, d *switchboard) { d.cut() },
		"lost session": func(f *fake, d *switchboard) { f.forget(); d.cut() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := board(f, streams)
				first := true
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel != bayeux.MetaSubscribe || !first {
						return false
					}
					first = false
					w.mute(func() { w.handle(m) })
					return true
				}
				c := start(t, dialers(d))
				require.NoError(t, c.Wait(t.Context()))
				var heard []string
				subscribed := make(chan error)
				go func() {
					_, err := c.SubscribeFunc(t.Context(), "/a", func(_ context.Context, m *bayeux.Message) error {
						heard = append(heard, string(m.Data))
						return nil
					}, WithOnGap(func(Gap) { heard = append(heard, "gap") }))
					subscribed <- err
				}()
				synctest.Wait()
				f.publish("/a", "1")
				synctest.Wait()
				breaks(f, d)
				require.NoError(t, <-subscribed)
				f.publish("/a", "3")
				synctest.Wait()
				assert.Equal(t, []string{"1", "gap", "3"}, heard)
			})
		})
	}
}
