package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

// callbackDialer is the client's end of callback-polling, as a page with script
// tags has it; no client of ours speaks it.
type callbackDialer struct{}

func (callbackDialer) Type() string { return bayeux.CallbackPolling }

func (callbackDialer) Dial(_ context.Context, t *transport.Target) (transport.Conn, error) {
	c := &callbackConn{target: t}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// A callbackConn is one script: Send makes its URL, Receive runs it.
type callbackConn struct {
	target *transport.Target
	url    url.URL
	asked  bool
	ctx    context.Context
	cancel context.CancelFunc
}

func (c *callbackConn) Send(p *transport.Payload) error {
	c.url = *c.target.URL
	c.url.RawQuery = url.Values{"jsonp": {"page.call"}, "message": {string(p.AppendTo(nil))}}.Encode()
	return nil
}

func (c *callbackConn) Receive() (io.Reader, error) {
	if c.asked {
		return nil, io.EOF
	}
	c.asked = true
	r, err := http.NewRequestWithContext(c.ctx, http.MethodGet, c.url.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.target.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	inner, begins := strings.CutPrefix(string(b), "page.call(")
	inner, ends := strings.CutSuffix(inner, ")")
	if resp.StatusCode != http.StatusOK || !begins || !ends {
		return nil, fmt.Errorf("%s, no call: %q", resp.Status, b)
	}
	return bytes.NewReader([]byte(inner)), nil
}

func (c *callbackConn) Close(transport.Reason) error { c.cancel(); return nil }
func (c *callbackConn) Context() context.Context     { return c.ctx }
func (c *callbackConn) Peer() *transport.Peer {
	return &transport.Peer{Type: bayeux.CallbackPolling, Once: true}
}

func TestCallbackPollingHoldsAConnectUntilThereIsSomething(t *testing.T) {
	onCallback(t, func(t *testing.T, w *world) {
		c := w.session("/a")
		s := w.Session(c.id)
		assert.Equal(t, bayeux.CallbackPolling, s.Transport())
		assert.True(t, s.Holds("c2"))
		require.NoError(t, w.Publish(t.Context(), "/a", "<\u2028>"))
		assert.Equal(t, "/a", c.wait().Channel, "the event comes first")
		assert.Equal(t, "c2", c.wait().ID, "and the connect's reply last, in the same script")
		c.hold("c3")
	})
}

// docs/protocol.md §10: its delivery is with connect replies only.
func TestCallbackPollingDeliversOnConnectsOnly(t *testing.T) {
	onCallback(t, func(t *testing.T, w *world) {
		c := w.client()
		c.handshake()
		c.connect("c1")
		c.expect(bayeux.MetaConnect, "c1")
		c.send(
			`{"channel":"/meta/subscribe","id":"s","clientId":"$","subscription":"/a"}`,
			`{"channel":"/a","id":"p","clientId":"$","data":1}`)
		assert.Equal(t, "s", c.wait().ID)
		assert.Equal(t, "p", c.wait().ID)
		assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/b","id":"q","clientId":"$","data":1}`).Outcome)
		assert.Empty(t, c.passed, "no other reply takes the event along")
		c.connect("c2")
		assert.Equal(t, []string{"1"}, c.data(1))
		assert.Equal(t, "c2", c.wait().ID)
	})
}

func TestCallbackPollingNeedsTheCookieOfItsHandshake(t *testing.T) {
	onCallback(t, func(t *testing.T, w *world) {
		c, thief := w.session("/a"), w.client()
		thief.id = c.id
		assert.Equal(t, "402::session_unknown", thief.ask(`{"channel":"/a","id":"x","clientId":"$","data":1}`).Error)
		m := thief.ask(`{"channel":"/meta/connect","id":"y","clientId":"$","connectionType":"callback-polling"}`)
		assert.Equal(t, "402::session_unknown", m.Error)
		assert.Equal(t, bayeux.HandshakeAgain, m.Advice.Reconnect)
		require.True(t, w.Session(c.id).Holds("c2"), "the session itself does not notice")

		lp := w.clientOn(bayeux.LongPolling) // the same browser, by the other transport
		lp.target.HTTP, lp.id = c.target.HTTP, c.id
		assert.Equal(t, bayeux.Succeeded, lp.ask(`{"channel":"/b","id":"z","clientId":"$","data":1}`).Outcome)
	})
}

func TestCallbackPollingAnswersTheHeldConnectOfWhoLeaves(t *testing.T) {
	onCallback(t, func(t *testing.T, w *world) {
		c := w.session()
		assert.Equal(t, bayeux.Succeeded, c.ask(`{"channel":"/meta/disconnect","id":"d","clientId":"$"}`).Outcome)
		m := c.expect(bayeux.MetaConnect, "c2")
		assert.Equal(t, bayeux.Succeeded, m.Outcome)
		assert.Equal(t, bayeux.NoReconnect, m.Advice.Reconnect)
		assert.Nil(t, w.Session(c.id))
	})
}

func TestCallbackPollingEndsWithAKickInTheConnectsAnswer(t *testing.T) {
	onCallback(t, func(t *testing.T, w *world) {
		c := w.session()
		w.Session(c.id).Kick("enough")
		m := c.wait()
		assert.Equal(t, bayeux.MetaDisconnect, m.Channel)
		assert.Equal(t, `"enough"`, string(m.Ext["reason"]))
		assert.Equal(t, bayeux.NoReconnect, c.expect(bayeux.MetaConnect, "c2").Advice.Reconnect)
	})
}

func TestANewerConnectReplacesTheOneThatCallbackPollingHolds(t *testing.T) {
	onCallback(t, func(t *testing.T, w *world) {
		c := w.session()
		c.hold("c3")
		require.ErrorContains(t, c.broken(), "500", "the script of the old connect fails")
	})
}

func TestAConnectOfCallbackPollingIsAnsweredWhenItsTimeIsUp(t *testing.T) {
	onCallback(t, func(t *testing.T, w *world) {
		c := w.client()
		assert.Equal(t, 50*time.Millisecond, c.handshake().Advice.Timeout.Or(0))
		for _, id := range []string{"first", "held"} {
			c.connect(id)
			assert.Equal(t, bayeux.Succeeded, c.expect(bayeux.MetaConnect, id).Outcome)
		}
	}, server.WithTransportTiming(bayeux.CallbackPolling, server.Timing{Timeout: 50 * time.Millisecond}))
}
