package replay_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/replay"
)

// shake makes a session of id c with a server that can replay.
func shake(t *testing.T, e client.Extension, marks string) {
	require.NoError(t, e.Incoming(t.Context(), &bayeux.Message{
		Channel: bayeux.MetaHandshake, Outcome: bayeux.Succeeded, ClientID: "c",
		Ext: bayeux.Ext{replay.Name: []byte("true"), replay.Marks: []byte(marks)},
	}))
	e.Session("c")
}

// The reply to a subscribe may be lost when the past has begun to come. A server
// without marks, as Salesforce's, would send all of it again.
func TestASubscribeThatIsSentAgainGoesOnWhereTheFirstOneGot(t *testing.T) {
	e := replay.Client(replay.Config{})
	shake(t, e, "false")
	ask := func(id, ext string) string {
		m := &bayeux.Message{Channel: bayeux.MetaSubscribe, ID: id, ClientID: "c", Subscription: bayeux.Subscription{Channels: []string{"/a", "/b"}}}
		if ext != "" {
			m.Ext = bayeux.Ext{replay.Name: []byte(ext)}
		}
		require.NoError(t, e.Outgoing(t.Context(), m))
		return string(m.Ext[replay.Name])
	}
	own := `{"/a":-2,"/b":-2}`
	assert.Equal(t, own, ask("1", own))
	assert.Equal(t, own, ask("1", own), "nothing has come")
	require.NoError(t, e.Incoming(t.Context(), &bayeux.Message{Channel: "/a", Data: []byte(`{"event":{"replayId":7}}`)}))
	assert.JSONEq(t, `{"/a":7,"/b":-2}`, ask("1", own))
	assert.Equal(t, own, ask("2", own), "another subscribe is the program's own wish")
}
