package client

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A dialect answers as some real server does: n counts the connects. The result
// is one payload's messages; none holds the connect.
type dialect func(m *bayeux.Message, n int) []string

const session1 = `"clientId":"abc"`

func faye(m *bayeux.Message, n int) []string {
	advice := `"advice":{"reconnect":"retry","interval":0,"timeout":60000}`
	switch m.Channel {
	case bayeux.MetaHandshake:
		return []string{fmt.Sprintf(`{"id":%q,"channel":"/meta/handshake","successful":true,"version":"1.0",%s,%s,"supportedConnectionTypes":["long-polling","cross-origin-long-polling","callback-polling","websocket","eventsource","in-process"]}`, m.ID, session1, advice)}
	case bayeux.MetaConnect:
		if n > 4 {
			return nil
		}
		// the reply first, then events that keep their publisher's id
		return []string{
			fmt.Sprintf(`{"id":%q,"channel":"/meta/connect","successful":true,%s,%s}`, m.ID, session1, advice),
			fmt.Sprintf(`{"channel":"/a","data":%d,"id":%q}`, 2*n, m.ID),
			fmt.Sprintf(`{"channel":"/a","data":%d,"id":"1"}`, 2*n+1),
		}
	case bayeux.MetaSubscribe:
		return []string{fmt.Sprintf(`{"id":%q,"channel":"/meta/subscribe","successful":true,%s,"subscription":"/a"}`, m.ID, session1)}
	}
	return []string{fmt.Sprintf(`{"id":%q,"channel":%q,"successful":true,%s}`, m.ID, m.Channel, session1)}
}

// Salesforce: no advice with the handshake, clientId everywhere, ids or not.
func salesforce(m *bayeux.Message, n int) []string {
	switch m.Channel {
	case bayeux.MetaHandshake:
		return []string{`{"ext":{"replay":true,"payload.format":true},"minimumVersion":"1.0","clientId":"abc","supportedConnectionTypes":["long-polling"],"channel":"/meta/handshake","version":"1.0","successful":true}`}
	case bayeux.MetaConnect:
		switch {
		case n == 1:
			return []string{`{"clientId":"abc","advice":{"interval":0,"timeout":110000,"reconnect":"retry"},"channel":"/meta/connect","successful":true}`}
		case n > 4:
			return nil
		}
		return []string{
			fmt.Sprintf(`{"data":%d,"channel":"/a"}`, 2*n), fmt.Sprintf(`{"data":%d,"channel":"/a"}`, 2*n+1),
			`{"clientId":"abc","channel":"/meta/connect","successful":true}`,
		}
	}
	return []string{fmt.Sprintf(`{"clientId":"abc","channel":%q,"subscription":"/a","successful":true}`, m.Channel)}
}

// axum-cometd: one event, then the reply; subscription is always a list.
func axum(m *bayeux.Message, n int) []string {
	switch m.Channel {
	case bayeux.MetaHandshake:
		return []string{fmt.Sprintf(`{"id":%q,"channel":"/meta/handshake","version":"1.0","clientId":"abc","supportedConnectionTypes":["long-polling"],"successful":true,"advice":{"timeout":20000,"interval":0,"reconnect":"retry"}}`, m.ID)}
	case bayeux.MetaConnect:
		if n > 4 {
			return nil
		}
		return []string{fmt.Sprintf(`{"channel":"/a","data":%d}`, n), fmt.Sprintf(`{"id":%q,"channel":"/meta/connect","successful":true}`, m.ID)}
	case bayeux.MetaSubscribe:
		return []string{fmt.Sprintf(`{"id":%q,"channel":"/meta/subscribe","subscription":["/a"],"successful":true}`, m.ID)}
	}
	return []string{fmt.Sprintf(`{"id":%q,"channel":%q,"successful":true}`, m.ID, m.Channel)}
}

// noisy repeats replies, sends stale ones, and what nobody asked for.
func noisy(m *bayeux.Message, n int) []string {
	reply := fmt.Sprintf(`{"id":%q,"channel":%q,"successful":true,"clientId":"abc"}`, m.ID, m.Channel)
	stale := `{"id":"999999","channel":"/meta/connect","successful":false,"error":"402::x","advice":{"reconnect":"handshake"}}`
	switch m.Channel {
	case bayeux.MetaConnect:
		if n > 4 {
			return nil
		}
		return []string{stale, reply, stale, fmt.Sprintf(`{"channel":"/a","data":%d}`, n), reply, `{"channel":"/unasked","data":{},"foo":[1]}`}
	}
	return []string{`{"channel":"/meta/unknown","successful":true}`, reply, reply}
}

func TestDialectsOfRealServers(t *testing.T) {
	for name, d := range map[string]dialect{"Faye": faye, "Salesforce": salesforce, "axum-cometd": axum, "noisy": noisy} {
		both(t, func(t *testing.T, f *fake, board *switchboard) {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := 0
					f.first = func(w *wire, m *bayeux.Message) bool {
						f.mu.Lock()
						if m.Channel == bayeux.MetaConnect {
							n++
						}
						now := n
						f.mu.Unlock()
						if m.Channel == bayeux.MetaHandshake {
							time.Sleep(time.Second) // until the test listens
						}
						messages := d(m, now)
						if messages != nil {
							w.conn.Send(payload(messages...))
						} else if w.conn.Peer().Once {
							<-w.conn.Context().Done()
						}
						return true
					}
					if board.Type() == bayeux.WebSocket && (name == "Salesforce" || name == "axum-cometd") {
						t.Skip("has no WebSocket")
					}
					c := start(t, dialers(board))
					s, err := c.Listen("/a")
					require.NoError(t, err)
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					_, err = c.Subscribe(ctx, "/a")
					require.NoError(t, err)
					last := -1
					for _, v := range take(ctx, s, 2) {
						var i int
						fmt.Sscan(v, &i)
						assert.Greater(t, i, last)
						last = i
					}
					assert.GreaterOrEqual(t, last, 0)
					assert.NoError(t, c.Publish(ctx, "/p", 1))
					time.Sleep(time.Second)
					assert.Equal(t, bayeux.Connected, c.State())
					assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
				})
			})
		})
	}
}

func payload(messages ...string) *transport.Payload {
	p := &transport.Payload{}
	for _, m := range messages {
		p.Messages = append(p.Messages, []byte(m))
	}
	return p
}

// axum-cometd refuses a handshake without saying the channel.
func TestARefusalWithoutAChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.first = func(w *wire, m *bayeux.Message) bool {
			w.conn.Send(payload(`{"error":"400::minimum_version_missing","successful":false}`))
			return true
		}
		_, err := Dial(t.Context(), testURL, WithTransports(board(f, polls)))
		assert.ErrorContains(t, err, "400 minimum_version_missing")
	})
}

// Where it could be about several requests it is about none of them.
func TestARefusalThatNamesNothingIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var waits []*bayeux.Message
		f.first = func(w *wire, m *bayeux.Message) bool {
			if m.Channel != "/p" {
				return false
			}
			if waits = append(waits, m); len(waits) == 2 {
				w.raw(`{"error":"400::bad","successful":false}`)
				for _, m := range waits {
					w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded})
				}
			}
			return true
		}
		c := start(t, dialers(board(f, streams)))
		require.NoError(t, c.Wait(t.Context()))
		b := c.Batch()
		b.Publish("/p", 1)
		b.Publish("/p", 2)
		require.NoError(t, b.Send(t.Context()))
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Equal(t, 1, f.count(bayeux.MetaHandshake))
	})
}

// Whatever a server sends instead of a payload, the client comes back.
func TestGarbageIsSurvived(t *testing.T) {
	for _, garbage := range []string{`{"\`, `[[]]`, `[1]`, `nul`, `{"channel":7}`, strings.Repeat("[", 100), `{"channel":"/meta/connect"`, "\xff"} {
		both(t, func(t *testing.T, f *fake, d *switchboard) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				f.first = func(w *wire, m *bayeux.Message) bool {
					if m.Channel == bayeux.MetaConnect {
						if n++; n == 2 {
							w.raw(garbage)
							return true
						}
					}
					return false
				}
				c := start(t, dialers(d))
				time.Sleep(5 * time.Second)
				assert.Equal(t, bayeux.Connected, c.State(), garbage)
				assert.LessOrEqual(t, f.count(bayeux.MetaHandshake), 1)
			})
		})
	}
}

// Why a stream's server is left is its own doing, and it is told so.
func TestAServerIsToldWhyItIsLeft(t *testing.T) {
	for garbage, want := range map[string]transport.Reason{
		`{"\`:                             transport.BadPayload,
		`{"channel":"/a","channel":"/b"}`: transport.BadPayload,
		`{"channel":"/a","data":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`: transport.TooLarge,
	} {
		synctest.Test(t, func(t *testing.T) {
			told := make(chan error, 1)
			f := newFake()
			f.types = []string{bayeux.WebSocket}
			d := memory.NewDialer(func(conn transport.Conn) {
				f.serve(conn)
				_, err := conn.Receive() // the end again
				select {
				case told <- err:
				default:
				}
			})
			c := start(t, []transport.Dialer{d})
			require.NoError(t, c.Wait(t.Context()))
			f.publishRaw(garbage)
			assert.Equal(t, want, transport.ReasonOf(<-told))
			synctest.Wait()
			assert.Equal(t, want, transport.ReasonOf(c.Stats().Err))
		})
	}
}

func TestAnEmptyArrayIsAKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, streams)))
		require.NoError(t, c.Wait(t.Context()))
		f.mu.Lock()
		w := f.sessions[c.ID()].wire
		f.mu.Unlock()
		w.conn.Send(&transport.Payload{})
		time.Sleep(time.Minute)
		assert.Equal(t, bayeux.Connected, c.State())
		assert.Zero(t, c.Stats().Reconnects)
	})
}

// What is larger than the limit breaks the connection, and the error names it.
func TestTooLargeAPayloadNamesTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := start(t, dialers(board(f, streams)), WithLimits(Limits{MessageBytes: 1000}))
		s, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		f.publish("/a", `"`+strings.Repeat("x", 2000)+`"`)
		synctest.Wait()
		require.Error(t, c.Stats().Err)
		assert.ErrorIs(t, c.Stats().Err, transport.ErrTooLarge)
		assert.ErrorContains(t, c.Stats().Err, "1000")
		time.Sleep(5 * time.Second)
		f.publish("/a", "1")
		assert.Equal(t, []string{"1"}, take(t.Context(), s, 1))
	})
}

// An answer that is about something else is not called late.
func TestAnAnswerThatNamesNoRequest(t *testing.T) {
	for _, answer := range []string{"", `{"channel":"/meta/handshake","id":"x9","successful":true,"clientId":"s"}`} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.first = func(w *wire, m *bayeux.Message) bool {
				if answer == "" {
					w.conn.Send(&transport.Payload{})
				} else {
					w.raw(answer)
				}
				return true
			}
			_, err := Dial(t.Context(), testURL, WithTransports(board(f, polls)))
			assert.ErrorContains(t, err, "the answer names no request")
			assert.NotErrorIs(t, err, bayeux.ErrTimeout)
		})
	}
}
