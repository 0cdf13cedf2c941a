package client

import (
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/transport"
)

// slowLine dials connections that bring so many bytes each second.
type slowLine struct {
	transport.Dialer
	rate int
}

type slowConn struct {
	transport.Conn
	rate int
}

type slowBody struct {
	io.Reader
	slowConn
}

func (d slowLine) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	c, err := d.Dialer.Dial(ctx, t)
	return slowConn{c, d.rate}, err
}

func (c slowConn) Receive() (io.Reader, error) {
	r, err := c.Conn.Receive()
	return slowBody{r, c}, err
}

func (r slowBody) Read(p []byte) (int, error) {
	if len(p) > r.rate {
		p = p[:r.rate]
	}
	n, err := r.Reader.Read(p)
	if n < r.rate {
		return n, err
	}
	select {
	case <-time.After(time.Second):
		return n, err
	case <-r.Context().Done():
		return n, transport.ErrClosed
	}
}

// Given up and asked for again, it would never come through.
func TestALargePayloadOverASlowLineIsAwaitedAsLongAsItComes(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			gaps := make(chan Gap, 10)
			c := start(t, []transport.Dialer{slowLine{d, 4 << 10}}, WithHooks(Hooks{Gap: func(g Gap) { gaps <- g }}))
			s, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			time.Sleep(f.hold - time.Second)
			large := strconv.Quote(strings.Repeat("x", 400<<10))
			f.publish("/a", large)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			assert.True(t, slices.Equal([]string{large}, take(ctx, s, 1)))
			f.publish("/a", "1")
			assert.Equal(t, []string{"1"}, take(ctx, s, 1))
			assert.Empty(t, gaps)
		})
	})
}

// Nor are requests whose replies stand in it, or behind it.
func TestARequestWaitsForALargePayloadOverASlowLine(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			large := strconv.Quote(strings.Repeat("x", 400<<10))
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel == "/p" {
					w.send(event("/a", large))
				}
				return false
			}
			c := start(t, []transport.Dialer{slowLine{d, 4 << 10}})
			s, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			require.NoError(t, c.Publish(t.Context(), "/p", 1))
			assert.Equal(t, 1, f.count("/p"))
			assert.True(t, slices.Equal([]string{large}, take(t.Context(), s, 1)))
			assert.Equal(t, 1, f.made)
		})
	})
}

// The result of a call comes with any exchange.
func TestTheResultOfACallIsAwaitedInALargePayloadOverASlowLine(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			large := strconv.Quote(strings.Repeat("x", 400<<10))
			f.first = func(w *wire, m *bayeux.Message) bool {
				if m.Channel != "/service/x" {
					return false
				}
				w.send(&bayeux.Message{Channel: m.Channel, ID: m.ID, Outcome: bayeux.Succeeded})
				time.AfterFunc(time.Second, func() {
					f.mu.Lock()
					s := f.sessions[m.ClientID]
					result := &bayeux.Message{Channel: m.Channel, ID: m.ID, Data: []byte(large)}
					s.queue = append(s.queue, result)
					stream := s.wire
					f.mu.Unlock()
					if stream != nil {
						stream.send(result)
					} else {
						s.release(nil)
					}
				})
				return true
			}
			c := start(t, []transport.Dialer{slowLine{d, 4 << 10}})
			require.NoError(t, c.Wait(t.Context()))
			m, err := c.Call(t.Context(), "/service/x", 1)
			require.NoError(t, err)
			assert.Len(t, m.Data, len(large))
		})
	})
}

// A server that sends a little again and again is not waited for without end.
func TestAPayloadThatHardlyAdvancesIsGivenUp(t *testing.T) {
	both(t, func(t *testing.T, f *fake, d *switchboard) {
		synctest.Test(t, func(t *testing.T) {
			gaps := make(chan Gap, 10)
			c := start(t, []transport.Dialer{slowLine{d, 64}}, WithHooks(Hooks{Gap: func(g Gap) { gaps <- g }}))
			_, err := c.Subscribe(t.Context(), "/a")
			require.NoError(t, err)
			f.publish("/a", strconv.Quote(strings.Repeat("x", 40<<10)))
			time.Sleep(2 * time.Minute)
			assert.NotEmpty(t, gaps)
		})
	})
}
