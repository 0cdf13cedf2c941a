package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestManualStepByStep(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			m, err := NewManual(testURL, WithTransports(d))
			require.NoError(t, err)
			defer m.Close()
			ctx := t.Context()
			_, err = m.Connect(ctx)
			require.Error(t, err, "there is no session")
			got, err := m.Handshake(ctx)
			require.NoError(t, err)
			assert.Len(t, got, 1)
			assert.Equal(t, "s1", m.ID())
			assert.Equal(t, bayeux.Connecting, m.State())
			assert.Equal(t, 20*time.Second, m.Advice().Timeout.Or(0))
			_, err = m.Connect(ctx)
			require.NoError(t, err)
			assert.Equal(t, bayeux.Connected, m.State())
			_, err = m.Subscribe(ctx, "/a", "/b", "/a")
			require.NoError(t, err)
			assert.Equal(t, 1, f.subscribed("/b"))
			publish, err := bayeux.NewPublish(m.ID(), "/a", 1)
			require.NoError(t, err)
			got, err = m.Send(ctx, publish)
			require.NoError(t, err)
			if len(got) == 1 { // over exchanges the event waits for a connect
				more, err := m.Connect(ctx)
				require.NoError(t, err)
				got = append(got, more...)
			}
			var data []string
			for _, g := range got {
				data = append(data, string(g.Data))
			}
			assert.Contains(t, data, "1")
			began := time.Now()
			_, err = m.Connect(ctx)
			require.NoError(t, err)
			assert.Equal(t, 20*time.Second, time.Since(began), "held")
			_, err = m.Unsubscribe(ctx, "/b")
			require.NoError(t, err)
			assert.Equal(t, 0, f.subscribed("/b"))
			_, err = m.Disconnect(ctx)
			require.NoError(t, err)
			assert.Equal(t, bayeux.Stopped, m.State())
		})
	})
}

func TestManualReturnsRefusals(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = refuse(bayeux.MetaSubscribe, 1, 1, bayeux.Message{Error: "403:/a:subscribe_denied"})
			m, err := NewManual(testURL, WithTransports(d))
			require.NoError(t, err)
			defer m.Close()
			_, err = m.Handshake(t.Context())
			require.NoError(t, err)
			got, err := m.Subscribe(t.Context(), "/a")
			assert.ErrorIs(t, err, bayeux.ErrDenied)
			assert.Len(t, got, 1)
			f.forget()
			_, err = m.Connect(t.Context())
			assert.ErrorIs(t, err, bayeux.ErrUnknownSession)
			assert.Equal(t, bayeux.Disconnected, m.State())
		})
	})
}

// The advice none ends a session for good, also one that comes with a success.
func TestManualStopsWhereThatIsTheAdvice(t *testing.T) {
	none := &bayeux.Advice{Reconnect: bayeux.NoReconnect}
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == bayeux.MetaConnect {
					w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded, Advice: none})
				}
				return m.Channel == bayeux.MetaConnect
			}
			m, err := NewManual(testURL, WithTransports(d))
			require.NoError(t, err)
			defer m.Close()
			_, err = m.Handshake(t.Context())
			require.NoError(t, err)
			_, err = m.Connect(t.Context())
			require.NoError(t, err)
			assert.Equal(t, bayeux.Stopped, m.State())
		})
	})
}

func TestManualEndsAStepWithItsContextOrPatience(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			m, err := NewManual(testURL, WithTransports(d))
			require.NoError(t, err)
			defer m.Close()
			_, err = m.Handshake(t.Context())
			require.NoError(t, err)
			_, err = m.Connect(t.Context())
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = m.Connect(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, bayeux.Unconnected, m.State())
			began := time.Now()
			_, err = m.Connect(t.Context())
			require.NoError(t, err)
			assert.Zero(t, time.Since(began), "after a failure the answer is wanted at once")
			f.first = func(*wire, *bayeux.Message) bool { return true }
			_, err = m.Subscribe(t.Context(), "/a")
			assert.ErrorIs(t, err, bayeux.ErrTimeout)
			assert.Equal(t, 10*time.Second, time.Since(began))
		})
	})
}

func TestManualFallsBackInTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stream, poll := pair()
		stream.set(errNoUpgrade)
		m, err := NewManual(testURL, WithTransports(dialers(stream, poll)...))
		require.NoError(t, err)
		defer m.Close()
		_, err = m.Handshake(t.Context())
		require.NoError(t, err)
		_, err = m.Connect(t.Context())
		require.NoError(t, err)
	})
}

// An answer that answers nothing is no success.
func TestManualWantsAReplyToEachStep(t *testing.T) {
	for name, c := range map[string]struct {
		reply string
		is    func(*testing.T, error)
	}{
		"no channel":    {`{"error":"400::minimum_version_missing"}`, refusedWith(400)},
		"channel by id": {`{"id":"1","error":"403::no"}`, refusedWith(403)},
		"nothing":       {``, late},
		"a foreign id":  {`{"channel":"/meta/handshake","id":"99","successful":true,"clientId":"x"}`, late},
		"another step":  {`{"channel":"/meta/connect","id":"1","successful":true}`, late},
		"no clientId": {`{"channel":"/meta/handshake","id":"1","successful":true}`, func(t *testing.T, err error) {
			assert.ErrorContains(t, err, "without a clientId")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fake, d *switchboard) {
				synctest.Test(t, func(t *testing.T) {
					f.first = func(w *wire, m *bayeux.Message) bool {
						if m.Channel != bayeux.MetaHandshake || f.count(m.Channel) > 1 {
							return false
						}
						if p := (transport.Payload{}); c.reply == "" {
							w.conn.Send(&p)
						} else {
							w.raw(c.reply)
						}
						return true
					}
					m, err := NewManual(testURL, WithTransports(d))
					require.NoError(t, err)
					defer m.Close()
					_, err = m.Handshake(t.Context())
					require.Error(t, err)
					c.is(t, err)
					assert.Equal(t, bayeux.Disconnected, m.State())
					assert.Empty(t, m.ID())
					_, err = m.Handshake(t.Context())
					require.NoError(t, err)
					assert.Equal(t, bayeux.Connecting, m.State())
				})
			})
		})
	}
}

func refusedWith(code int) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		var refusal *bayeux.Error
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, code, refusal.Code)
		assert.Equal(t, bayeux.MetaHandshake, refusal.Channel)
	}
}

func late(t *testing.T, err error) { assert.ErrorIs(t, err, bayeux.ErrTimeout) }

func TestAManualRefusesAnExtensionThatNeedsAClient(t *testing.T) {
	d := WithTransports(board(newFake(), streams))
	_, err := NewManual(testURL, d, WithExtension(Extension{Name: "quiet"}, Extension{Name: "opened", Opened: func(*Client) {}}))
	require.EqualError(t, err, `client: extension needs a Client, not a Manual: "opened"`)
	_, err = NewManual(testURL, d, WithExtension(Extension{Name: "done", Done: func(string, *bayeux.Message) {}}))
	require.EqualError(t, err, `client: extension needs a Client, not a Manual: "done"`)
}
