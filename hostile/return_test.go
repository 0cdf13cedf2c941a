package hostile_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// spread is over how long a server that is shut down has its clients come back.
const spread = 5 * time.Second

// A server that is shut down and comes back has all its clients again within
// half a minute, over about one connection each, and at no time many more than
// it asked for; one that was cut off has them within half a minute, and over so
// many connections, too. RETURN_CLIENTS says how many.
func TestAllComeBackAfterARestart(t *testing.T) {
	n := int(number("RETURN_CLIENTS", 200))
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	arrivals := &arrivals{}
	up := func(ln net.Listener) (stop func(gently bool)) {
		srv, err := cometd.NewServer(server.WithLimits(server.Limits{HeldPerBrowser: -1, ConnsPerAddr: -1, SessionsPerAddr: -1}), server.WithShutdownSpread(spread))
		require.NoError(t, err)
		hs := &http.Server{Handler: srv, ReadHeaderTimeout: time.Second}
		done := make(chan struct{})
		go func() { defer close(done); hs.Serve(arrivals.count(ln)) }()
		arrivals.serve(srv)
		return func(gently bool) {
			if gently {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				srv.Shutdown(ctx)
			}
			srv.Close()
			hs.Close()
			<-done
		}
	}
	stop := up(ln)
	var all []*client.Client
	var joined sync.WaitGroup
	for i := range n {
		var d transport.Dialer = wsclient.NewDialer()
		if i%10 == 9 {
			d = longpoll.NewDialer()
		}
		c, err := cometd.New("http://"+addr, client.WithTransports(d))
		require.NoError(t, err)
		all = append(all, c)
		joined.Go(func() {
			_, err := c.SubscribeFunc(t.Context(), "/a", func(context.Context, *bayeux.Message) error { return nil })
			assert.NoError(t, err)
		})
	}
	joined.Wait()
	for _, gently := range []bool{true, false} {
		// A client whose connect is not held is not told when to come back.
		require.Eventually(t, func() bool { return arrivals.server().Stats().Held == n }, time.Minute, 20*time.Millisecond)
		stop(gently)
		arrivals.reset()
		ln, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		require.NoError(t, err)
		stop = up(ln)
		begin, stall := time.Now(), stalls(t.Context())
		require.Eventually(t, func() bool { return arrivals.server().SubscriberCount("/a") == n }, time.Minute, 20*time.Millisecond)
		total, peak := arrivals.sums()
		stood := stall()
		t.Logf("gently %t: %d clients back within %v over %d connections; at most %d accepted in a second; the machine stood still for %v",
			gently, n, time.Since(begin).Round(time.Millisecond), total, peak, stood.Round(time.Millisecond))
		assert.Less(t, time.Since(begin), 30*time.Second)
		// A stream comes once; a client that polls opens two or three connections.
		assert.LessOrEqual(t, total, n*3/2, "connections")
		if gently && n >= 1000 { // fewer are let come within a second
			// That no pause is shorter than a client's first makes it one and a half
			// even shares; all at once would be five. Client, server and kernel share
			// two cores here: while these stand still what was spread comes together.
			even := total / int(spread/time.Second)
			most := int(float64(even) * 2.5 * (1 + stood.Seconds()))
			assert.LessOrEqual(t, peak, most, "accepted in a second; %d if they came evenly over %v", even, spread)
		}
	}
	var closing sync.WaitGroup
	for _, c := range all {
		closing.Go(func() { c.Close(); <-c.Done() })
	}
	closing.Wait()
	stop(false)
}

// stalls measures for how long at a time nothing ran here that wanted to: stall
// ends it and says the longest.
func stalls(ctx context.Context) (stall func() time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	longest := make(chan time.Duration, 1)
	go func() {
		const every = 10 * time.Millisecond
		var most time.Duration
		for ctx.Err() == nil {
			due := time.Now().Add(every)
			time.Sleep(every)
			most = max(most, time.Since(due))
		}
		longest <- most
	}()
	return func() time.Duration { cancel(); return <-longest }
}

// arrivals counts accepted connections per tenth of a second.
type arrivals struct {
	mu    sync.Mutex
	begin time.Time
	per   map[int]int
	srv   *server.Server
}

func (a *arrivals) serve(s *server.Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.srv = s
}

func (a *arrivals) server() *server.Server {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.srv
}

func (a *arrivals) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin, a.per = time.Now(), map[int]int{}
}

// sums are all, and the most in any ten neighbours.
func (a *arrivals) sums() (total, most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, n := range a.per {
		total += n
		sum := 0
		for i := at; i < at+10; i++ {
			sum += a.per[i]
		}
		most = max(most, sum)
	}
	return total, most
}

func (a *arrivals) count(l net.Listener) net.Listener {
	if a.per == nil {
		a.reset()
	}
	return counted{l, a}
}

type counted struct {
	net.Listener
	a *arrivals
}

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.a.mu.Lock()
		l.a.per[int(time.Since(l.a.begin)/(100*time.Millisecond))]++
		l.a.mu.Unlock()
	}
	return c, err
}
