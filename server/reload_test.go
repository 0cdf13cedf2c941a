package server_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
)

// What the reload extension of cometd.js needs (docs/protocol.md §16): the new
// page has the id of the old one's session, a fresh connection, and begins with
// a connect that wants its answer at once.
func TestAReloadedPageGoesOnWithItsSessionOnAFreshConnection(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		c.cut()
		require.NoError(t, w.Publish(t.Context(), "/a", "while it loaded"))
		c.send(`{"channel":"/meta/connect","id":"r1","clientId":"$","connectionType":"x","advice":{"timeout":0},"ext":{"reload":true}}`)
		var got []string
		for _, m := range c.all() {
			got = append(got, fmt.Sprintf("%s %s", m.Channel, m.Data))
			if m.ID == "r1" {
				assert.Equal(t, bayeux.Succeeded, m.Outcome)
				assert.Equal(t, bayeux.Retry, m.Advice.Reconnect)
			}
		}
		assert.Equal(t, []string{`/a "while it loaded"`, "/meta/connect "}, got)
		require.NoError(t, w.Publish(t.Context(), "/a", "after"))
		c.connect("r2")
		assert.Equal(t, `"after"`, string(c.events(1)[0].Data), "it is still subscribed")
	})
}
