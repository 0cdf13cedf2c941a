package server_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
)

// numbering numbers all messages; "have" of a connect's ext acknowledges.
var numbering = server.Extension{
	Channels: []string{bayeux.MetaConnect, bayeux.MetaHandshake},
	Incoming: func(ctx context.Context, s *server.Session, m *bayeux.Message) error {
		var n uint64
		if ok, err := m.Ext.Decode("have", &n); ok && err == nil {
			s.Outbox().Received(server.PeerOf(ctx), n)
		}
		return nil
	},
	Outgoing: func(_ context.Context, s *server.Session, m *bayeux.Message) error {
		if m.Channel == bayeux.MetaHandshake {
			s.Outbox().Number(func(n uint64) []byte { return fmt.Appendf(nil, `{"channel":"/n","data":%d}`, n) })
		}
		return nil
	},
}

func have(c *wire, id string, n int) {
	c.send(fmt.Sprintf(`{"channel":"/meta/connect","id":%q,"clientId":"$","connectionType":"x","ext":{"have":%d}}`, id, n))
}

func texts(ms []*bayeux.Message) (all []string) {
	for _, m := range ms {
		if m.Data != nil {
			all = append(all, string(m.Data))
		}
	}
	return all
}

func TestNumberedMessagesGoOnWhereTheClientSaysItStopped(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		for _, text := range []string{"a", "b", "c"} {
			require.NoError(t, w.Publish(t.Context(), "/a", text))
		}
		assert.Empty(t, texts(c.all()), "nobody knows yet where the client stands")
		have(c, "h1", 0)
		assert.Equal(t, []string{"1", `"a"`, `"b"`, `"c"`}, texts(c.all()))
		c.cut()
		require.NoError(t, w.Publish(t.Context(), "/a", "d"))
		have(c, "h2", 2)
		assert.Equal(t, []string{"3", `"c"`, `"d"`}, texts(c.all()))
		assert.Positive(t, w.Session(c.id).Outbox().Bytes(), "not acknowledged")
		have(c, "h3", 4)
		assert.Zero(t, w.Session(c.id).Outbox().Bytes())
	}, server.WithExtension(numbering))
}

func TestBatchesHaveNumbersThatOnlyTheirOwnReplyShows(t *testing.T) {
	var numbers []uint64
	show := server.Extension{Channels: []string{"/meta/*"}, Outgoing: func(ctx context.Context, _ *server.Session, m *bayeux.Message) error {
		numbers = append(numbers, server.BatchOf(ctx))
		return nil
	}}
	onBoth(t, func(t *testing.T, w *world) {
		numbers = nil
		c := w.session("/a")
		c.connect("c3")
		w.Publish(t.Context(), "/a", 1)
		c.all()
		assert.Equal(t, []uint64{0, 1, 0, 2}, numbers[:4])
	}, server.WithExtension(show), server.WithConnectOnly())
}
