package replay_test

import (
	"fmt"
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

// A program may subscribe to one channel after the other for as long as it runs. What
// a later subscribe needs is remembered: that something came, which the store need not
// know yet, and that a position was refused.
func TestAChannelOnWhichNothingCameIsForgottenWithItsSubscription(t *testing.T) {
	e, remembered := replay.Remembering(replay.Config{})
	shake(t, e, "true")
	ask := func(ch string) string {
		m := &bayeux.Message{Channel: bayeux.MetaSubscribe, ID: ch, ClientID: "c", Subscription: bayeux.Subscription{Channels: []string{ch}}}
		require.NoError(t, e.Outgoing(t.Context(), m))
		return string(m.Ext[replay.Name])
	}
	reply := func(ch string, m *bayeux.Message) {
		m.Channel, m.ID = bayeux.MetaSubscribe, ch
		require.NoError(t, e.Incoming(t.Context(), m))
	}
	for i := range 100 {
		ch := fmt.Sprintf("/quiet/%d", i)
		ask(ch)
		reply(ch, &bayeux.Message{Outcome: bayeux.Succeeded})
		e.Unsubscribed(ch)
	}
	assert.Zero(t, remembered())
	assert.JSONEq(t, `{"/quiet/1":-1}`, ask("/quiet/1"), "as if for the first time")

	ask("/busy")
	reply("/busy", &bayeux.Message{Outcome: bayeux.Succeeded})
	require.NoError(t, e.Incoming(t.Context(), &bayeux.Message{Channel: "/busy", Data: []byte(`{"event":{"replayId":7}}`)}))
	e.Unsubscribed("/busy")
	assert.JSONEq(t, `{"/busy":6}`, ask("/busy"), "it was not handled")
}
