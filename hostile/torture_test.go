package hostile_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/internal/fault"
)

// number reads an environment variable.
func number(name string, otherwise uint64) uint64 {
	n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// tortured is for how long a torture goes on: some quarters of TORTURE_TIME,
// such as 2m.
func tortured(quarters time.Duration) time.Duration {
	d, err := time.ParseDuration(os.Getenv("TORTURE_TIME"))
	if err != nil {
		d = 4 * time.Second
	}
	return d * quarters / 4
}

// Cuts, half-open and stalled connections, restarts, kicks and refusals in any
// order, while clients and subscriptions come and go: every subscription hears
// each publisher's messages in order and none twice, and where one is missing it
// has been told of a gap; no client takes a session for lost that it still has.
// Afterwards all of them hear everything again. TORTURE_SEED runs one again,
// TORTURE_TIME runs it for longer, TORTURE_CLIENTS with more clients.
func TestNothingIsLostInSilenceNorOutOfOrderUnderTorture(t *testing.T) {
	torture(t, tortured(3), fault.Cut, fault.HalfOpen, fault.Stall, fault.Delay)
}

// With bits flipped and bytes repeated or swapped nobody can promise order, but
// both ends go on, and forget it.
func TestCorruptedConnectionsAreSurvived(t *testing.T) {
	torture(t, tortured(1))
}

// seeded is the seed of a torture. It is printed at once: there may be no end.
func seeded(t *testing.T) uint64 {
	seed := number("TORTURE_SEED", rand.Uint64())
	fmt.Fprintf(os.Stderr, "%s: TORTURE_SEED=%d\n", t.Name(), seed)
	return seed
}

// torture goes on for a time. Without kinds every kind of fault happens, and
// what is heard is not checked.
func torture(t *testing.T, lasts time.Duration, kinds ...fault.Kind) {
	seed := seeded(t)
	// The first server takes what the process keeps: the network's poller, and a pipe.
	first, err := cometd.NewServer()
	require.NoError(t, err)
	first.Close()
	before := present()
	w := newChamber(t, seed, len(kinds) > 0)
	w.host.start(w)
	w.open(w.host.addr(), fault.Random(seed, 8<<10, kinds...))
	w.fill(int(number("TORTURE_CLIENTS", 16)))
	w.publish(4)
	w.scales.weigh(0, lasts)
	begin := time.Now()
	for took := time.Since(begin); took < lasts; took = time.Since(begin) {
		w.host.harm(w, took > lasts*7/8)
		w.host.bounded(t)
		w.lost.settle(w)
		w.scales.weigh(took, lasts)
		time.Sleep(time.Duration(w.rnd.Int64N(int64(50 * time.Millisecond))))
	}
	w.scales.weigh(lasts, lasts)
	w.calm()
	w.allHear()
	t.Logf("%v; then all heard everybody again after %v", w.host.harms, time.Since(w.calmedAt).Round(time.Millisecond))
	w.silence()
	w.hearLast()
	w.empty()
	w.host.forgets(t)
	w.shut()
	w.scales.check(t)
	assert.Eventually(t, func() bool { return present().within(before) }, long, 10*time.Millisecond, "something is left")
	if now := present(); !now.within(before) {
		t.Logf("left over: %+v, before: %+v", now, before)
	}
}

// A chamber has clients that listen, and others that publish, between proxies to
// a server.
type chamber struct {
	t       *testing.T
	seed    uint64
	rnd     *rand.Rand
	ordered bool // what arrives is checked

	host     host         // unless the server is elsewhere
	bad      *fault.Proxy // of those who listen
	good     *fault.Proxy // of those who publish
	calmed   context.Context
	calmDown context.CancelFunc
	calmedAt time.Time

	seats  []*seat
	stirs  sync.WaitGroup // what goes on in the seats
	lost   losses
	scales scales

	chokes   atomic.Int64 // subscribes and unsubscribes that were given up
	refusals atomic.Int64 // subscriptions that the policy refused

	publishers []*publisher
	publishing sync.WaitGroup
	hush       context.CancelFunc
	loud       context.Context

	mu         sync.Mutex
	complaints []string
	heard      int // messages, by all who have left
	gaps       int
}

func newChamber(t *testing.T, seed uint64, ordered bool) *chamber {
	w := &chamber{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), ordered: ordered}
	w.lost.keeps = 2 * time.Second
	w.calmed, w.calmDown = context.WithCancel(t.Context())
	w.loud, w.hush = context.WithCancel(t.Context())
	return w
}

// open makes the proxies to the server at addr.
func (w *chamber) open(addr string, plan fault.Plan) {
	var err error
	w.bad, err = fault.NewProxy(addr, plan)
	require.NoError(w.t, err)
	w.good, err = fault.NewProxy(addr, nil)
	require.NoError(w.t, err)
	w.t.Cleanup(w.shut)
}

// shut ends the proxies.
func (w *chamber) shut() {
	w.bad.Close()
	w.good.Close()
}

// retarget leads to another server, whose predecessor is gone.
func (w *chamber) retarget(addr string) {
	w.bad.Retarget(addr)
	w.good.Retarget(addr)
	w.good.Cut()
}

// calm ends all harm, and the coming and going.
func (w *chamber) calm() {
	w.calmedAt = time.Now()
	w.host.denied.Store(false)
	w.calmDown()
	w.bad.Calm()
	w.bad.Cut()
	w.stirs.Wait()
	w.replaceEnded()
}

// complain notes what was promised otherwise.
func (w *chamber) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ordered && len(w.complaints) < 20 {
		w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
	}
}

// allHear waits until whoever is there has heard from every publisher again.
func (w *chamber) allHear() {
	w.t.Helper()
	for i, s := range w.seats {
		first := s.listener()
		before := first.main.counts()
		ok := assert.Eventually(w.t, func() bool { return s.listener().hearsMore(len(w.publishers), first, before) },
			30*time.Second, 5*time.Millisecond, "listener %d of %d hears %v", i, len(w.seats), before)
		if l := s.listener(); !ok {
			w.t.Logf("listener %d: %+v, subscription: %v", i, l.c.Stats(), l.sub.Err())
		}
	}
}

// silence ends the publishers.
func (w *chamber) silence() {
	w.hush()
	w.publishing.Wait()
}

// hearLast waits until everybody has heard the last message of each publisher
// that was taken, or has been told of a gap after what they have heard.
func (w *chamber) hearLast() {
	w.t.Helper()
	for i, s := range w.seats {
		l := s.listener()
		for _, p := range w.publishers {
			last := p.last()
			assert.Eventually(w.t, func() bool { return l.main.hasHeard(p.name, last) }, 30*time.Second, 5*time.Millisecond,
				"listener %d (%s): /t/%s %d", i, l.kind, p.name, last)
		}
	}
}

// empty ends all clients, and says what they have complained of.
func (w *chamber) empty() {
	for _, p := range w.publishers {
		p.end()
	}
	for _, s := range w.seats {
		s.listener().end()
	}
	assert.Eventually(w.t, func() bool { return w.lost.settle(w) }, long, 10*time.Millisecond)
	for _, complaint := range w.complaints {
		assert.Fail(w.t, complaint)
	}
	w.t.Logf("%d messages heard, %d gaps told, %d sessions lost, %d of them given up after connects without an answer; %d subscribes and unsubscribes, too; %d subscriptions refused", w.heard, w.gaps, w.lost.claimed, w.lost.givenUp, w.chokes.Load(), w.refusals.Load())
}
