package ackserver_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// A proxy passes connections on and cuts all of them now and then.
type proxy struct {
	net.Listener
	to string
	wg sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	cuts  int
}

func newProxy(t *testing.T, to string) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{Listener: ln, to: to, conns: map[net.Conn]bool{}}
	p.wg.Go(func() {
		for c, err := ln.Accept(); err == nil; c, err = ln.Accept() {
			p.wg.Go(func() { p.pass(c) })
		}
	})
	return p
}

func (p *proxy) pass(c net.Conn) {
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		c.Close()
		return
	}
	p.mu.Lock()
	p.conns[c], p.conns[s] = true, true
	p.mu.Unlock()
	p.wg.Go(func() { io.Copy(s, c); s.Close() })
	io.Copy(c, s)
	c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, s)
	p.mu.Unlock()
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts++
	for c := range p.conns {
		c.(*net.TCPConn).SetLinger(0) // what is on its way is lost
		c.Close()
	}
}

func TestCutsOfTheNetworkLoseAndRepeatNothing(t *testing.T) {
	for _, d := range []transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()} {
		for form, opts := range map[string][]ackserver.Option{"numbers": nil, "batches": {ackserver.WithoutNumbers()}} {
			t.Run(d.Type()+"/"+form, func(t *testing.T) { cuts(t, d, opts) })
		}
	}
}

func cuts(t *testing.T, d transport.Dialer, opts []ackserver.Option) {
	const messages = 3000
	srv, err := cometd.NewServer(server.WithExtension(ackserver.New(append(opts, ackserver.WithGrace(time.Minute))...)))
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	p := newProxy(t, hs.Listener.Addr().String())
	c, err := client.New("http://"+p.Addr().String(), client.WithTransports(d), client.WithExtension(ack.Client()),
		client.WithBackoff(5*time.Millisecond, 20*time.Millisecond))
	require.NoError(t, err)
	sub, err := c.Subscribe(t.Context(), "/a", client.WithOnGap(func(g client.Gap) { t.Errorf("gap: %+v", g) }))
	require.NoError(t, err)
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for i := range messages {
			srv.Publish(context.Background(), "/a", i)
			if i%20 == 0 {
				time.Sleep(2 * time.Millisecond)
			}
			// Three connections in a row that never bring anything would be taken for
			// the session's fault.
			if rand.N(75) == 0 && c.State() == bayeux.Connected {
				p.cut()
			}
		}
	})
	next := 0
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for m := range sub.Messages(ctx) {
		same := assert.Equal(t, fmt.Sprint(next), string(m.Data))
		if next++; next == messages || !same {
			break
		}
	}
	assert.Equal(t, messages, next)
	publisher.Wait()
	t.Logf("%d cuts", p.cuts)
	c.Close()
	srv.Close()
	hs.Close()
	p.Close()
	p.cut()
	p.wg.Wait()
}
