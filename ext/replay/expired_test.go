package replay_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

// Who has a channel go on with what is new, because its position is refused, knows no
// position until something comes: a session that is lost before is one more gap.
func TestASessionThatIsLostAfterAPositionWasRefusedIsAGapOfItsOwn(t *testing.T) {
	for expired, want := range map[replay.ID][]string{
		replay.New: {"0", "gap", "gap", "5"},
		replay.All: {"0", "gap", "2", "3", "4", "5"},
	} {
		overEach(t, replayserver.Rule{Pattern: "/a", Messages: 2}, func(t *testing.T, srv *server.Server, d transport.Dialer) {
			var published, missed atomic.Int32
			publish := func() { assert.NoError(t, srv.Publish(t.Context(), "/a", published.Add(1)-1)) }
			c, err := client.New("http://test/", client.WithTransports(d),
				client.WithExtension(replay.Client(replay.Config{Expired: expired})),
				client.WithExtension(client.Extension{
					Requests: []string{bayeux.MetaHandshake},
					Outgoing: func(context.Context, *bayeux.Message) error {
						for range missed.Swap(0) {
							publish()
						}
						return nil
					},
				}))
			require.NoError(t, err)
			defer c.Close()
			var mu sync.Mutex
			var heard []string
			note := func(text string) {
				mu.Lock()
				defer mu.Unlock()
				heard = append(heard, text)
			}
			_, err = c.SubscribeFunc(t.Context(), "/a",
				func(_ context.Context, m *bayeux.Message) error { note(string(m.Data)); return nil },
				client.WithOnGap(func(client.Gap) { note("gap") }))
			require.NoError(t, err)
			publish()
			time.Sleep(time.Minute)
			for _, n := range []int32{3, 1} {
				missed.Store(n)
				expireAll(srv)
				time.Sleep(5 * time.Minute)
			}
			publish()
			time.Sleep(time.Minute)
			mu.Lock()
			defer mu.Unlock()
			assert.Equal(t, want, heard)
		})
	}
}
