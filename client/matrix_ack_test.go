//go:build !js

package client_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/transport/memory"
	"github.com/stretchr/testify/require"
)

// The fault matrix against our own server, with acknowledgement: what is
// delivered is numbered, and must be whole. The faults are a meddler's.

const (
	beats   = 500 * time.Millisecond // between two numbers
	patient = 45 * time.Second       // longer than any fault takes to be noticed, and mended
)

// A bout is one cell of this matrix.
type bout struct {
	kind, step, fault, phase string

	srv *server.Server
	c   *client.Client
	m   *meddler

	mu      sync.Mutex
	ears    []*tallier
	session string          // the client's
	ended   map[string]bool // sessions that the server has ended
	unknown bool            // the server has said that it does not know one
	losses  int             // sessions that the client has lost
	wrong   []string
	others  sync.WaitGroup // the users of client and server
}

// A tallier is a subscription that counts.
type tallier struct {
	channel     string
	next        int // -1: nothing was heard
	told        bool
	gaps        int
	lost, again int // silently
	known       int // lost, and told
}

func (x *bout) run(t *testing.T) (became string) {
	synctest.Test(t, func(t *testing.T) {
		x.ended = map[string]bool{}
		var err error
		x.srv, err = cometd.NewServer(server.WithExtension(ackserver.New()),
			server.WithTiming(server.Timing{MaxInterval: 2 * time.Minute}),
			server.WithHooks(server.Hooks{SessionClosed: x.sessionClosed}))
		require.NoError(t, err)
		defer x.srv.Close()
		dial := memory.NewDialer
		if x.kind == bayeux.LongPolling {
			dial = memory.NewPollDialer
		}
		x.m = newMeddler(dial(x.srv.ServeConn), x.step, x.fault, x.expire)
		if x.phase == "first" {
			x.m.arm()
		}
		x.c, err = client.New("http://test/cometd", client.WithTransports(x.m),
			client.WithExtension(ack.Client(), client.Extension{Name: "bout", Incoming: x.sees, Session: x.begins}))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		for _, ch := range []string{"/a", "/b/*", "/c/**"} {
			x.subscribe(ctx, ch)
		}
		if x.phase != "first" {
			time.Sleep(map[string]time.Duration{"aged": 10 * time.Minute, "rehandshake": 65 * time.Second}[x.phase])
			x.m.arm()
			x.provoke(ctx)
		}
		stop := x.traffic(ctx)
		for began := time.Now(); !x.m.struck() && time.Since(began) < time.Minute; {
			time.Sleep(beats)
		}
		time.Sleep(patient)
		last := stop()
		time.Sleep(5 * time.Second) // what is on its way arrives
		became = x.judge(last)
		cancel()
		x.c.Close()
		<-x.c.Done()
		x.others.Wait()
		x.m.wait()
	})
	return became
}

// provoke makes the step happen in a session that has come of age.
func (x *bout) provoke(ctx context.Context) {
	switch {
	case x.phase == "rehandshake":
		x.expire()
		x.m.cut()
	case x.step == "handshake":
		x.expire()
	case x.step == "subscribe":
		x.subscribe(ctx, "/d")
	}
}

// expire ends all sessions.
func (x *bout) expire() {
	for s := range x.srv.Sessions() {
		s.Expire(time.Now(), 0)
	}
}

func (x *bout) sessionClosed(s *server.Session, _ transport.Reason) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended[s.ID()] = true
}

// sees notes that the server refuses a session: where it took two handshakes over
// one connection it does so with the first.
func (x *bout) sees(_ context.Context, m *bayeux.Message) error {
	if m.Outcome == bayeux.Failed && bayeux.ParseError(m.Channel, m.Error).Code == 402 {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.unknown = true
	}
	return nil
}

// begins is told of each new session of the client's. The one before must have
// ended: no single fault is reason enough to give it up.
func (x *bout) begins(id string) {
	time.Sleep(time.Millisecond) // the server's hooks may run after its answer
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.session != "" {
		if x.losses++; !x.ended[x.session] && !x.unknown {
			x.wrong = append(x.wrong, "a session was given up that had not ended")
		}
	}
	x.session, x.unknown = id, false
}

// subscribe is a user who wants ch.
func (x *bout) subscribe(ctx context.Context, ch string) {
	e := &tallier{channel: ch, next: -1}
	x.mu.Lock()
	x.ears = append(x.ears, e)
	x.mu.Unlock()
	x.others.Go(func() {
		for ctx.Err() == nil { // a refusal is the caller's
			_, err := x.c.SubscribeFunc(ctx, ch, client.Typed(func(_ context.Context, n int) error {
				x.hear(e, n)
				return nil
			}), client.WithOnGap(func(client.Gap) { x.tell(e) }))
			if err == nil {
				return
			}
		}
	})
}

func (x *bout) tell(e *tallier) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e.told = true
	e.gaps++
}

func (x *bout) hear(e *tallier, n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case e.next < 0 || n == e.next:
	case n < e.next:
		e.again++
		return
	case e.told:
		e.known += n - e.next
	default:
		e.lost += n - e.next
	}
	e.next, e.told = n+1, false
}

// traffic is numbers for every subscription, and publishes of the client's where
// they are the step. stop ends it and says how many numbers there were.
func (x *bout) traffic(ctx context.Context) (stop func() int) {
	ctx, cancel := context.WithCancel(ctx)
	n := 0
	numbers := make(chan struct{})
	go func() {
		defer close(numbers)
		for ; ctx.Err() == nil; n++ {
			for _, ch := range []string{"/a", "/b/x", "/c/x/y", "/d"} {
				x.srv.Publish(ctx, ch, n)
			}
			sleep(ctx, beats)
		}
	}()
	if x.step == "publish" {
		x.others.Go(func() {
			for ctx.Err() == nil {
				x.c.Publish(ctx, "/publish", 1)
				sleep(ctx, beats)
			}
		})
	}
	return func() int {
		cancel()
		<-numbers
		return n
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// judge says what became of the numbers, and what should not have.
func (x *bout) judge(last int) (became string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.m.struck() {
		x.wrong = append(x.wrong, "the fault never happened")
	}
	known, gaps := 0, 0
	for _, e := range x.ears {
		if e.next != last || e.lost > 0 || e.again > 0 {
			x.wrong = append(x.wrong, fmt.Sprintf("on %s %d are lost, %d repeated, and %d is the last of %d", e.channel, e.lost, e.again, e.next, last))
		}
		if e.gaps > x.losses {
			x.wrong = append(x.wrong, fmt.Sprintf("%d gaps on %s, and %d sessions lost", e.gaps, e.channel, x.losses))
		}
		known, gaps = max(known, e.known), max(gaps, e.gaps)
	}
	switch {
	case len(x.wrong) > 0:
		return "FAILED"
	case gaps > 0:
		return fmt.Sprintf("gap, %d", known)
	}
	return "whole"
}

func (x *bout) String() string { return x.kind + ", " + x.step + ", " + x.fault + ", " + x.phase }

// Whatever fault meets whatever step of the protocol, in whatever phase of a
// client's life: with acknowledgement nothing is lost and nothing comes twice
// while the session lasts, no fault makes the client give the session up, and
// where the server ends it what is missed has been told.
func TestNoFaultLosesOrRepeatsWhatIsAcknowledged(t *testing.T) {
	var table bytes.Buffer
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	cells := 0
	phases := []string{"first", "aged", "rehandshake"}
	for _, kind := range []string{bayeux.WebSocket, bayeux.LongPolling} {
		for _, step := range []string{"handshake", "connect", "subscribe", "publish", "deliver"} {
			fmt.Fprintf(out, "%s %s", kind, step)
			for _, phase := range phases {
				fmt.Fprintf(out, "\t%s", phase)
			}
			fmt.Fprintln(out)
			for _, fault := range meddlings {
				fmt.Fprintf(out, "  %s", fault)
				for _, phase := range phases {
					x := &bout{kind: kind, step: step, fault: fault, phase: phase}
					fmt.Fprintf(out, "\t%s", x.run(t))
					cells++
					for _, wrong := range x.wrong {
						t.Errorf("%s: %s", x, wrong)
					}
				}
				fmt.Fprintln(out)
			}
		}
	}
	out.Flush()
	require.Equal(t, 360, cells, "5 steps, 12 faults and 3 phases on 2 kinds of transport")
	t.Logf("%d cells: whole, or a gap was told, and how many numbers were lost with the session\n%s", cells, table.String())
}
