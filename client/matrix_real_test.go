//go:build !js

package client

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/internal/fault"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

// The fault matrix once more, over real sockets: those faults that are noticed
// at once, in the first session. The server is the same fake, behind our
// acceptors and a proxy that resets connections.

var promptFaults = []string{"refused", "reset before", "reset after", "duplicated", "402", "500", "garbage"}

const (
	realOutage = 150 * time.Millisecond
	realTime   = 30 * time.Second // for a busy machine; it takes a fraction of one
)

// A realNetwork is the proxy between client and server.
type realNetwork struct{ *fault.Proxy }

func (n realNetwork) cut() { n.Cut() }

func (n realNetwork) down(on bool) {
	if on {
		n.Down()
	} else {
		n.Up()
	}
}

// serveReal serves f over HTTP, and returns what lies in between.
func serveReal(t *testing.T, f *fake) (*fault.Proxy, func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex // over and served: nobody comes in once somebody waits
	var over bool
	var served sync.WaitGroup
	enter := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			served.Add(1)
		}
		return !over
	}
	serve := func(conn transport.Conn) {
		defer conn.Close(transport.Internal)
		if !enter() {
			return
		}
		defer served.Done()
		stop := context.AfterFunc(ctx, func() { conn.Close(transport.GoingAway) })
		defer stop()
		f.serve(conn)
	}
	sockets, polls := wsserver.NewAcceptor(), longpoll.NewAcceptor()
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sockets.Match(r) {
			sockets.Serve(w, r, &transport.Accept{}, serve)
		} else {
			polls.Serve(w, r, &transport.Accept{}, serve)
		}
	}))
	p, err := fault.NewProxy(hs.Listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, func() {
		cancel()
		p.Close()
		hs.Close()
		mu.Lock()
		over = true
		mu.Unlock()
		served.Wait()
	}
}

// runReal is run, over d's sockets and in real time.
func (x *cell) runReal(t *testing.T, d transport.Dialer) (out result) {
	x.f = newFake()
	p, stop := serveReal(t, x.f)
	defer stop()
	x.s = &saboteur{f: x.f, net: realNetwork{p}, outage: realOutage, step: x.step, fault: x.fault}
	x.f.first = x.s.first
	x.s.arm()
	c, err := New(p.URL()+"/cometd", WithTransports(d), WithBackoff(20*time.Millisecond, 200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	x.c = c
	ctx, cancel := context.WithCancel(t.Context())
	defer func() {
		cancel()
		c.Close()
		<-c.Done()
		x.other.Wait()
	}()
	for _, ch := range []string{"/a", "/b/*", "/c/**"} {
		x.subscribe(ctx, ch)
	}
	x.traffic(ctx, 10*time.Millisecond)
	within, end := context.WithTimeout(ctx, realTime)
	defer end()
	if out.err = x.recover(within); out.err != "" {
		return out
	}
	if out.took, out.handshakes = time.Since(x.s.struckAt()), x.f.count(bayeux.MetaHandshake); out.handshakes > 2 {
		out.err = fmt.Sprintf("%d handshakes", out.handshakes)
	}
	return out
}

// recover waits until a publish is acknowledged after the fault, and then for
// an event on each subscription that was sent after that.
func (x *cell) recover(ctx context.Context) string {
	if !x.until(ctx, func() bool { return !x.s.struckAt().IsZero() }) {
		return "the fault never happened"
	}
	if !x.until(ctx, func() bool { return x.c.Publish(ctx, "/ok", 1) == nil }) {
		return "no publish is acknowledged"
	}
	since := time.Now()
	if !x.until(ctx, func() bool { return x.heardSince(since) }) {
		return "not all subscriptions deliver"
	}
	return ""
}

// heardSince reports whether every ear has heard something after t.
func (x *cell) heardSince(t time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.ears {
		if !e.last.After(t) {
			return false
		}
	}
	return true
}

func (x *cell) until(ctx context.Context, done func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func TestFaultMatrixOnSockets(t *testing.T) {
	cells, failed := 0, 0
	var table bytes.Buffer
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, make := range []func() transport.Dialer{
		func() transport.Dialer { return wsclient.NewDialer() },
		func() transport.Dialer { return longpoll.NewDialer() },
	} {
		kind := make().Type()
		fmt.Fprint(out, kind)
		for _, step := range steps {
			fmt.Fprintf(out, "\t%s", step)
		}
		fmt.Fprintln(out)
		for _, fault := range promptFaults {
			fmt.Fprintf(out, "  %s", fault)
			for _, step := range steps {
				x := &cell{kind: kind, step: step, fault: fault, phase: "first"}
				got := x.runReal(t, make())
				fmt.Fprintf(out, "\t%.0fms %dh", got.took.Seconds()*1000, got.handshakes)
				if cells++; got.err != "" {
					failed++
					fmt.Fprint(out, " FAILED")
					t.Errorf("%s, %s, %s: %s", kind, step, fault, got.err)
				}
			}
			fmt.Fprintln(out)
		}
	}
	out.Flush()
	if cells != 70 {
		t.Errorf("%d cells: of 5 steps and 7 faults on 2 transports there are 70", cells)
	}
	t.Logf("%d cells on real sockets, %d failed: time from the fault until a publish is acknowledged and every subscription delivers after it, and handshakes\n%s",
		cells, failed, table.String())
}
