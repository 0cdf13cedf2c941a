package client

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/gocometd/cometd/bayeux"
)

// The fault matrix: at each step of the protocol each fault, in each phase of a
// client's life, on both kinds of transport. Afterwards all subscriptions must
// deliver again within five seconds, plus the pause that backoff has reached and
// what it takes to notice, with at most two handshakes and no storm of attempts.
// Each cell goes on for longer than the slowest watchdog takes.

var (
	steps  = []string{"handshake", "connect", "subscribe", "publish", "deliver"}
	faults = []string{"refused", "reset before", "reset after", "hangs", "half-open", "slow", "duplicated", "wrong advice", "402", "500", "garbage"}
	phases = []string{"first", "hour", "rehandshake"}
)

const (
	matrixHold  = 20 * time.Second
	matrixDelay = 10 * time.Second        // the default of Timeouts.NetworkDelay
	firstPause  = 1500 * time.Millisecond // of backoff, with its jitter
	silence     = time.Second             // between events that come every quarter of one
)

// A cell is one run of the matrix.
type cell struct {
	kind, step, fault, phase string

	f *fake
	d *switchboard
	s *saboteur
	c *Client

	mu    sync.Mutex
	ears  []*ear
	other sync.WaitGroup // the users of the client
}

// An ear is a subscription, and when it was last heard.
type ear struct {
	channel string
	last    time.Time // when an event came that was sent after the fault; at first the fault
	back    time.Time // when the last silence was over
}

// A result is what a cell came to.
type result struct {
	took       time.Duration
	handshakes int
	err        string
}

// noticed is how long nobody can tell that something is wrong.
func (x *cell) noticed() time.Duration {
	switch x.fault {
	case "refused":
		return outage
	case "slow":
		return slowness
	case "hangs", "half-open":
		switch {
		case x.step == "connect", x.step == "deliver", x.kind == polls && x.fault == "half-open" && x.step != "handshake":
			return matrixHold + matrixDelay // a connect was held, and is lost
		default:
			return matrixDelay + matrixDelay/2
		}
	}
	return 0
}

func (x *cell) allowed() time.Duration { return 5*time.Second + firstPause + x.noticed() }

func (x *cell) run(t *testing.T) (out result) {
	synctest.Test(t, func(t *testing.T) {
		x.f = newFake()
		x.f.hold = matrixHold
		x.d = board(x.f, x.kind)
		x.d.takes = time.Millisecond
		x.s = &saboteur{f: x.f, net: x.d, outage: outage, step: x.step, fault: x.fault}
		x.f.first = x.s.first
		if x.phase == "first" {
			x.s.arm()
		}
		x.c = start(t, dialers(x.d))
		ctx, cancel := context.WithCancel(t.Context())
		defer func() { // and nothing may be left
			cancel()
			x.c.Close()
			<-x.c.Done()
			x.other.Wait()
			time.Sleep(2 * slowness)
		}()
		for _, ch := range []string{"/a", "/b/*", "/c/**"} {
			x.subscribe(ctx, ch)
		}
		before := x.f.count(bayeux.MetaHandshake)
		if x.phase != "first" {
			time.Sleep(map[string]time.Duration{"hour": time.Hour, "rehandshake": 65 * time.Second}[x.phase])
			before = x.f.count(bayeux.MetaHandshake)
			x.s.arm()
			x.provoke(ctx)
		}
		x.traffic(ctx, 250*time.Millisecond)
		for range 3 * matrixHold / (100 * time.Millisecond) {
			if time.Sleep(100 * time.Millisecond); !x.s.struckAt().IsZero() {
				break
			}
		}
		time.Sleep(x.allowed() + matrixHold + matrixDelay)
		out = x.judge(ctx, before)
	})
	return out
}

// provoke makes the step happen in a session that has come of age.
func (x *cell) provoke(ctx context.Context) {
	switch {
	case x.phase == "rehandshake":
		x.f.forget()
		x.d.cut()
	case x.step == "handshake":
		x.f.forget() // the next connect says so
	case x.step == "subscribe":
		x.subscribe(ctx, "/d")
	}
}

// subscribe is a user who wants ch.
func (x *cell) subscribe(ctx context.Context, ch string) {
	e := &ear{channel: ch}
	x.mu.Lock()
	x.ears = append(x.ears, e)
	x.mu.Unlock()
	x.other.Go(func() {
		sub, err := x.c.Subscribe(ctx, ch)
		for x.step == "subscribe" && err != nil && ctx.Err() == nil {
			sub, err = x.c.Subscribe(ctx, ch) // a first refusal is the caller's
		}
		if err != nil {
			return
		}
		for m := range sub.Messages(ctx) {
			var sent int64
			fmt.Sscan(string(m.Data), &sent)
			x.hear(e, sent)
		}
	})
}

// hear notes an event.
func (x *cell) hear(e *ear, sent int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at, now := x.s.struckAt(), time.Now()
	if at.IsZero() || sent < at.UnixNano() {
		return
	}
	if e.back.IsZero() || now.Sub(e.last) > silence {
		e.back = now
	}
	e.last = now
}

// traffic is publishes of the client's, where they are the step, and events of
// the server's.
func (x *cell) traffic(ctx context.Context, pause time.Duration) {
	every := func(act func()) {
		x.other.Go(func() {
			for ctx.Err() == nil {
				act()
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}
	if x.step == "publish" {
		every(func() { x.c.Publish(ctx, "/publish", 1) })
	}
	every(func() {
		for _, ch := range []string{"/a", "/b/x", "/c/x/y", "/d"} {
			if data := fmt.Sprint(time.Now().UnixNano()); !x.s.deliver(ch, data) {
				x.f.publish(ch, data)
			}
		}
	})
}

// judge says what became of the client, long after the fault.
func (x *cell) judge(ctx context.Context, before int) (out result) {
	out.handshakes = x.f.count(bayeux.MetaHandshake) - before
	at, deaf := x.s.struckAt(), ""
	x.mu.Lock()
	for _, e := range x.ears {
		if e.back.IsZero() || time.Since(e.last) > silence {
			deaf += " " + e.channel
		}
		out.took = max(out.took, e.back.Sub(at))
	}
	x.mu.Unlock()
	x.f.mu.Lock()
	lastBeat, doubled := x.f.times[len(x.f.times)-1], x.f.doubled
	x.f.mu.Unlock()
	x.d.mu.Lock()
	refusals := x.d.refusals
	x.d.mu.Unlock()
	within, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	switch {
	case at.IsZero():
		out.err = "the fault never happened"
	case deaf != "":
		out.err = "nothing is delivered on" + deaf
	case out.took > x.allowed():
		out.err = fmt.Sprintf("took %v, allowed are %v", out.took, x.allowed())
	case out.handshakes > 2:
		out.err = fmt.Sprintf("%d handshakes", out.handshakes)
	case time.Since(lastBeat) > matrixHold+time.Second:
		out.err = fmt.Sprintf("no connect for %v", time.Since(lastBeat))
	case doubled > 0:
		out.err = fmt.Sprintf("%d connects while one was held", doubled)
	case refusals > 3:
		out.err = fmt.Sprintf("%d attempts in an outage of %v", refusals, outage)
	case x.c.State() != bayeux.Connected:
		out.err = fmt.Sprintf("the state is %v", x.c.State())
	default:
		if err := x.c.Publish(within, "/ok", 1); err != nil {
			out.err = fmt.Sprintf("publish: %v", err)
		}
	}
	return out
}

func TestFaultMatrix(t *testing.T) {
	cells, failed := 0, 0
	var table bytes.Buffer
	out := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, kind := range []string{streams, polls} {
		for _, step := range steps {
			fmt.Fprintf(out, "%s %s", kind, step)
			for _, phase := range phases {
				fmt.Fprintf(out, "\t%s", phase)
			}
			fmt.Fprintln(out, "\tallowed")
			for _, fault := range faults {
				fmt.Fprintf(out, "  %s", fault)
				x := &cell{}
				for _, phase := range phases {
					x = &cell{kind: kind, step: step, fault: fault, phase: phase}
					got := x.run(t)
					fmt.Fprintf(out, "\t%.1fs %dh", got.took.Seconds(), got.handshakes)
					if cells++; got.err != "" {
						failed++
						fmt.Fprint(out, " FAILED")
						t.Errorf("%s, %s, %s, %s: %s", kind, step, fault, phase, got.err)
					}
				}
				fmt.Fprintf(out, "\t%.1fs\n", x.allowed().Seconds())
			}
		}
	}
	out.Flush()
	if cells != 330 {
		t.Errorf("%d cells: of 5 steps, 11 faults and 3 phases on 2 kinds of transport there are 330", cells)
	}
	t.Logf("%d cells, %d failed: time from the fault until every subscription delivers for good, and handshakes.\n"+
		"Allowed are 5 s, the first pause of backoff, and what it takes to notice.\n%s", cells, failed, table.String())
}
