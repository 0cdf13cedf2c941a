package replay_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/replay"
)

// Where the server keeps nothing, a message has what its publisher has put there.
func TestAPublishersOwnPositionIsNotStored(t *testing.T) {
	for name, marks := range map[string]string{"marked": "true", "not": "false"} {
		t.Run(name, func(t *testing.T) {
			positions, ctx := new(replay.Memory), t.Context()
			e := replay.Client(replay.Config{Store: positions})
			shake(t, e, marks)
			for _, data := range []string{"", "1", `{"event":{}}`} {
				m := &bayeux.Message{Channel: "/a", Ext: bayeux.Ext{replay.Name: []byte("1000000")}}
				if data != "" {
					m.Data = []byte(data)
				}
				require.NoError(t, e.Incoming(ctx, m))
				e.Done("/a", m)
				_, found, err := positions.Load(ctx, "/a")
				require.NoError(t, err)
				assert.False(t, found, data)
			}
		})
	}
}

// A megabyte of slashes, which a server may send, has a pattern for each of them.
func TestChannelsWithVeryManySegmentsAreCheap(t *testing.T) {
	for name, marks := range map[string]string{"marked": "true", "not": "false"} {
		t.Run(name, func(t *testing.T) {
			e, ctx := replay.Client(replay.Config{}), t.Context()
			shake(t, e, marks)
			long := strings.Repeat("/a", 500_000)
			subscribed := []string{"/a/**", "/a/*", "/b/**", long}
			require.NoError(t, e.Outgoing(ctx, &bayeux.Message{
				Channel: bayeux.MetaSubscribe, ID: "1", ClientID: "c", Subscription: bayeux.Subscription{Channels: subscribed},
			}))
			for id, ch := range []string{long, "/a/b"} {
				m := &bayeux.Message{Channel: ch, Data: fmt.Appendf(nil, `{"event":{"replayId":%d}}`, id+1)}
				require.NoError(t, e.Incoming(ctx, m))
				if marks != "true" {
					continue
				}
				for _, p := range subscribed {
					assert.Equal(t, bayeux.Channel(p).Match(ch), e.Selects(p, m), p[:min(len(p), 10)])
				}
			}
		})
	}
}

// A program's Of need not expect an event without data, which has no id.
func TestAnEventWithoutDataIsNotAskedForItsID(t *testing.T) {
	x := replay.Client(replay.Config{Of: func(data json.RawMessage) (replay.ID, bool) { return replay.ID(data[0]), true }})
	assert.NoError(t, x.Incoming(t.Context(), &bayeux.Message{Channel: "/a"}))
}
