package ackserver_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
)

// A fragile Dialer makes Conns that break after some payloads, in either
// direction, before or after the payload got through.
type fragile struct {
	transport.Dialer
	mu   sync.Mutex
	rand *rand.Rand
	well bool // from now on nothing breaks
}

func (d *fragile) Dial(ctx context.Context, t *transport.Target) (transport.Conn, error) {
	c, err := d.Dialer.Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return &breaking{Conn: c, d: d, left: 3 + d.rand.IntN(12)}, nil
}

type breaking struct {
	transport.Conn
	d    *fragile
	left int
}

// breaks reports whether the Conn ends now; swallow, whether the payload does
// not get through.
func (c *breaking) breaks() (now, swallow bool) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.left--
	if c.Peer().Once {
		now = c.d.rand.IntN(6) == 0
	} else {
		now = c.left <= 0
	}
	return now && !c.d.well, c.d.rand.IntN(2) == 0
}

func (c *breaking) Receive() (io.Reader, error) {
	r, err := c.Conn.Receive()
	if err != nil {
		return r, err
	}
	now, swallow := c.breaks()
	if now {
		c.Conn.Close(transport.GoingAway)
		if swallow {
			return nil, &transport.Error{Type: c.Peer().Type, Op: "receive", Reason: transport.GoingAway, Err: io.ErrUnexpectedEOF}
		}
	}
	return r, err
}

func (c *breaking) Send(p *transport.Payload) error {
	now, swallow := c.breaks()
	if now && swallow {
		c.Conn.Close(transport.GoingAway)
		return transport.ErrClosed
	}
	err := c.Conn.Send(p)
	if now {
		c.Conn.Close(transport.GoingAway)
	}
	return err
}

func TestBreaksLoseAndRepeatNothing(t *testing.T) {
	transports := map[string]func(func(transport.Conn)) transport.Dialer{"stream": memory.NewDialer, "polls": memory.NewPollDialer}
	forms := map[string][]ackserver.Option{"numbers": nil, "batches": {ackserver.WithoutNumbers()}}
	for name, dialer := range transports {
		for form, opts := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				for seed := range uint64(4) {
					synctest.Test(t, func(t *testing.T) { breaks(t, seed, dialer, opts) })
				}
			})
		}
	}
}

func breaks(t *testing.T, seed uint64, dialer func(func(transport.Conn)) transport.Dialer, opts []ackserver.Option) {
	const messages = 400
	srv, err := server.New(server.WithExtension(ackserver.New(append(opts, ackserver.WithGrace(time.Minute))...)))
	require.NoError(t, err)
	d := &fragile{Dialer: dialer(srv.ServeConn), rand: rand.New(rand.NewPCG(seed, 0))}
	c, err := client.New("http://test/", client.WithTransports(d), client.WithExtension(ack.Client()),
		client.WithBackoff(10*time.Millisecond, 100*time.Millisecond))
	require.NoError(t, err)
	var gaps []client.Gap
	sub, err := c.Subscribe(t.Context(), "/a", client.WithOnGap(func(g client.Gap) { gaps = append(gaps, g) }))
	require.NoError(t, err)
	id := c.ID()
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for i := range messages {
			srv.Publish(context.Background(), "/a", i)
			time.Sleep(time.Duration(rand.N(20)) * time.Millisecond)
		}
		d.mu.Lock()
		d.well = true
		d.mu.Unlock()
	})
	next := 0
	for m := range sub.Messages(t.Context()) {
		same := assert.Equal(t, fmt.Sprint(next), string(m.Data), "seed %d, same session: %v", seed, c.ID() == id)
		if next++; next == messages || !same {
			break
		}
	}
	publisher.Wait()
	assert.Empty(t, gaps)
	assert.Equal(t, id, c.ID(), "the session was lost")
	c.Close()
	srv.Close()
}

// With numbers an event does not cost a connect: they come while one is held.
func TestNumberedMessagesNeedNoConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connects := 0
		srv, err := server.New(server.WithExtension(ackserver.New(ackserver.WithWindow(100)), server.Extension{
			Channels: []string{"/meta/connect"},
			Incoming: func(context.Context, *server.Session, *bayeux.Message) error { connects++; return nil },
		}))
		require.NoError(t, err)
		c, err := client.New("http://test/", client.WithTransports(memory.NewDialer(srv.ServeConn)), client.WithExtension(ack.Client()))
		require.NoError(t, err)
		sub, err := c.Subscribe(t.Context(), "/a")
		require.NoError(t, err)
		synctest.Wait()
		before := connects
		for i := range 100 {
			srv.Publish(t.Context(), "/a", i)
			for range sub.Messages(t.Context()) {
				break
			}
		}
		synctest.Wait()
		assert.Equal(t, before, connects)
		for s := range srv.Sessions() {
			assert.Less(t, s.Outbox().Bytes(), 200, "acknowledged between connects")
		}
		c.Close()
		srv.Close()
	})
}
