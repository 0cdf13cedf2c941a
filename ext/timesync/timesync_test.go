package timesync_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/timesync"
	"github.com/gocometd/cometd/ext/timesync/timesyncserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport/memory"
)

func TestAClockLearnsOffsetAndLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock timesync.Clock
		e := clock.Extension()
		for i := range 20 { // 300 ms each way, held for 5 s, five minutes ahead
			m := &bayeux.Message{Channel: bayeux.MetaConnect}
			require.NoError(t, e.Outgoing(t.Context(), m))
			var q timesync.Request
			require.NoError(t, json.Unmarshal(m.Ext["timesync"], &q))
			time.Sleep(300 * time.Millisecond)
			r := timesync.Reply{Sent: q.Sent, Received: time.Now().Add(5 * time.Minute).UnixMilli(), Held: 5000}
			time.Sleep(5300 * time.Millisecond)
			reply := &bayeux.Message{Channel: bayeux.MetaConnect}
			require.NoError(t, reply.Ext.Set("timesync", r))
			require.NoError(t, e.Incoming(t.Context(), reply), i)
		}
		assert.Equal(t, 5*time.Minute, clock.Offset())
		assert.Equal(t, 300*time.Millisecond, clock.Lag())
		assert.Equal(t, time.Now().Add(5*time.Minute), clock.Now())
	})
}

func TestNonsenseMovesNoClock(t *testing.T) {
	var clock timesync.Clock
	e := clock.Extension()
	for _, text := range []string{`{}`, `7`, `{"tc":9e18}`, `{"tc":9007199254740991,"ts":1,"p":1}`, `{"tc":1,"ts":1,"p":-5}`} {
		m := &bayeux.Message{Channel: bayeux.MetaConnect, Ext: bayeux.Ext{"timesync": json.RawMessage(text)}}
		require.NoError(t, e.Incoming(t.Context(), m))
	}
	assert.Zero(t, clock.Offset())
}

func TestTheServerAnswersUntilTheEstimateIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := timesyncserver.New(0)
		srv, err := server.New(server.WithExtension(x))
		require.NoError(t, err)
		var replies []string
		spy := client.Extension{Channels: []string{"/meta/*"}, Incoming: func(_ context.Context, m *bayeux.Message) error {
			replies = append(replies, fmt.Sprintf("%s %s", m.Channel, m.Ext["timesync"]))
			return nil
		}}
		var clock timesync.Clock
		c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(spy, clock.Extension()))
		require.NoError(t, err)
		require.NoError(t, c.Wait(t.Context()))
		time.Sleep(30 * time.Second) // a held connect is answered, too
		synctest.Wait()
		now := time.Now().Add(-30 * time.Second).UnixMilli()
		require.GreaterOrEqual(t, len(replies), 3)
		assert.Equal(t, fmt.Sprintf(`/meta/handshake {"tc":%d,"ts":%d,"p":0,"a":0}`, now, now), replies[0])
		assert.Contains(t, replies[2], `"p":20000`)
		assert.Zero(t, clock.Offset())
		assert.Zero(t, clock.Lag())
		c.Close()
		srv.Close()
	})
}

func TestTheQuestionOfAConnectThatIsNeverAnsweredIsForgotten(t *testing.T) {
	x := timesyncserver.New(-1)
	srv, err := server.New()
	require.NoError(t, err)
	defer srv.Close()
	c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Wait(t.Context()))
	for s := range srv.Sessions() {
		for _, id := range []string{"replaced", "newer"} {
			m := &bayeux.Message{Channel: bayeux.MetaConnect, ID: id, Ext: bayeux.Ext{"timesync": json.RawMessage(`{"tc":1,"o":0}`)}}
			require.NoError(t, x.Incoming(t.Context(), s, m))
		}
		for id, answered := range map[string]bool{"replaced": false, "newer": true} {
			m := &bayeux.Message{Channel: bayeux.MetaConnect, ID: id}
			require.NoError(t, x.Outgoing(t.Context(), s, m))
			assert.Equal(t, answered, m.Ext["timesync"] != nil, id)
		}
	}
}

func ExampleClock() {
	srv, _ := server.New(server.WithExtension(timesyncserver.New(0)))
	defer srv.Close()
	var clock timesync.Clock
	c, _ := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(clock.Extension()))
	defer c.Close()
	c.Wait(context.Background())
	fmt.Println(clock.Offset().Abs() < time.Second, clock.Lag() < time.Second)
	// Output: true true
}

// A question that makes no sense, or that no reply could answer, is not answered,
// and the message is taken all the same.
func TestAnOddQuestionHasNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := server.New(server.WithExtension(timesyncserver.New(0)))
		require.NoError(t, err)
		replies := 0
		odd := client.Extension{
			Channels: []string{"/meta/*"},
			Outgoing: func(_ context.Context, m *bayeux.Message) error {
				if m.Channel != "/meta/unknown" {
					m.Ext = bayeux.Ext{"timesync": json.RawMessage(`{"tc":"noon"}`)}
				}
				return nil
			},
			Incoming: func(_ context.Context, m *bayeux.Message) error {
				assert.Nil(t, m.Ext["timesync"])
				replies++
				return nil
			},
		}
		c, err := client.NewManual("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(odd))
		require.NoError(t, err)
		_, err = c.Handshake(t.Context())
		require.NoError(t, err)
		_, err = c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		unknown := &bayeux.Message{Channel: "/meta/unknown", Ext: bayeux.Ext{"timesync": json.RawMessage(`{"tc":1}`)}}
		_, err = c.Send(t.Context(), unknown)
		assert.Error(t, err)
		assert.Equal(t, 3, replies)
		c.Close()
		srv.Close()
	})
}
