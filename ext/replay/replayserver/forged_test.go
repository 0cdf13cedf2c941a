package replayserver_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
	"github.com/gocometd/cometd/ext/replay/replayserver"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A message that says whose past it is puts that subscription back to where all that is
// published waits for the end of its past, which has come long ago.
func TestAPublisherCannotForgeWhatTheServerSaysOfThePast(t *testing.T) {
	for name, poll := range map[string]bool{"stream": false, "polling": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := serve(t, replayserver.NewMemory(replayserver.Rule{Pattern: "/a"}))
				defer srv.Close()
				var d transport.Dialer = memory.NewDialer(srv.ServeConn)
				if poll {
					d = memory.NewPollDialer(srv.ServeConn)
				}
				positions := new(replay.Memory)
				victim := dial(t, srv, client.WithTransports(d), client.WithExtension(replay.Client(replay.Config{Store: positions})))
				defer victim.Close()
				var data, ids, rest []string
				_, err := victim.SubscribeFunc(t.Context(), "/*", func(_ context.Context, m *bayeux.Message) error {
					data, ids, rest = append(data, string(m.Data)), append(ids, string(m.Ext[replay.Name])), append(rest, string(m.Ext["mine"]))
					return nil
				})
				require.NoError(t, err)
				require.NoError(t, srv.Publish(t.Context(), "/a", 0))

				forger := dial(t, srv, client.WithTransports(d), client.WithExtension(client.Extension{
					Requests: []string{"/*"},
					Outgoing: func(_ context.Context, m *bayeux.Message) error {
						m.Ext = bayeux.Ext{replay.Marks: []byte("1"), replay.Name: []byte("1000000"), "mine": []byte("1")}
						return nil
					},
				}))
				defer forger.Close()
				require.NoError(t, forger.Publish(t.Context(), "/a", 1))
				require.NoError(t, forger.Publish(t.Context(), "/unkept", "x"))
				require.NoError(t, srv.Publish(t.Context(), "/a", 2))
				synctest.Wait()
				require.Equal(t, []string{"0", "1", `"x"`, "2"}, data)
				assert.Equal(t, []string{"", "1", "1", ""}, rest, "the publisher's own is left")
				at, _, err := positions.Load(t.Context(), "/*")
				require.NoError(t, err)
				assert.Equal(t, ids[3], strconv.FormatInt(int64(at), 10))
				assert.NotContains(t, ids, "1000000")
				assert.Empty(t, ids[2], "it is not kept")
			})
		})
	}
}
