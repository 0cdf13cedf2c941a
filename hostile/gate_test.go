package hostile_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/server"
)

// tick is how often a house says something on /tick, while it speaks.
const tick = 50 * time.Millisecond

// A house is a server without an address of its own.
type house struct {
	*server.Server
	hs     *http.Server
	door   *door
	speaks atomic.Bool
	served chan struct{}
	hush   chan struct{}
	hushed chan struct{}
}

func newHouse(t *testing.T, addr string) *house {
	srv, err := cometd.NewServer(server.WithLimits(server.Limits{HeldPerBrowser: -1, ConnsPerAddr: -1, SessionsPerAddr: -1}), server.WithShutdownSpread(spread), alarming)
	require.NoError(t, err)
	h := &house{
		Server: srv, hs: &http.Server{Handler: srv, ReadHeaderTimeout: time.Second},
		door: newDoor(addr), served: make(chan struct{}), hush: make(chan struct{}), hushed: make(chan struct{}),
	}
	go func() { defer close(h.served); h.hs.Serve(h.door) }()
	go h.speak()
	return h
}

func (h *house) speak() {
	defer close(h.hushed)
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			if h.speaks.Load() {
				h.Publish(context.Background(), "/tick", nil)
			}
		case <-h.hush:
			return
		}
	}
}

func (h *house) demolish() {
	h.Close()
	h.hs.Close()
	<-h.served
	close(h.hush)
	<-h.hushed
}

// A door is the listener of a house: what comes through the gate.
type door struct {
	at     net.Addr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newDoor(addr string) *door {
	at, _ := net.ResolveTCPAddr("tcp", addr)
	return &door{at: at, conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (d *door) Addr() net.Addr { return d.at }

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.conns:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// A gate accepts connections at one address, for one house after the other, as
// a balancer does, and counts them per tenth of a second.
type gate struct {
	t    *testing.T
	addr string

	mu     sync.Mutex
	ln     net.Listener // nil: nobody listens
	opened sync.WaitGroup
	to     *house
	begin  time.Time
	per    map[int]int
}

// The address has a host of its own, where the system has many: at the usual one a
// connection of somebody else's, from that port, would keep the gate from opening again.
func newGate(t *testing.T) *gate {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.3:0")
	if err != nil {
		ln, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	}
	require.NoError(t, err)
	g := &gate{t: t, addr: ln.Addr().String(), begin: time.Now(), per: map[int]int{}}
	ln.Close()
	return g
}

func (g *gate) open() {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", g.addr)
	require.NoError(g.t, err)
	g.ln = ln
	g.opened.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			g.admit(c)
		}
	})
}

func (g *gate) close() {
	g.ln.Close()
	g.opened.Wait()
}

func (g *gate) leadTo(h *house) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.to = h
}

func (g *gate) house() *house {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.to
}

func (g *gate) admit(c net.Conn) {
	g.mu.Lock()
	g.per[int(time.Since(g.begin)/(100*time.Millisecond))]++
	to := g.to.door
	g.mu.Unlock()
	select {
	case to.conns <- c:
	case <-to.closed:
		c.Close()
	}
}

func (g *gate) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begin, g.per = time.Now(), map[int]int{}
}

// accepted is how many came.
func (g *gate) accepted() (total int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.per {
		total += n
	}
	return total
}

// most is the most that came in so many tenths of a second, one after the other.
func (g *gate) most(tenths int) (most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for at := range g.per {
		sum := 0
		for i := at; i < at+tenths; i++ {
			sum += g.per[i]
		}
		most = max(most, sum)
	}
	return most
}

// A lull is the longest time between two messages.
type lull struct {
	mu   sync.Mutex
	last time.Time
	most time.Duration
}

func (l *lull) hear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.most, l.last = max(l.most, now.Sub(l.last)), now
}

func (l *lull) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.most = time.Now(), 0
}

func (l *lull) heardAfter(t time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last.After(t)
}

func (l *lull) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
}

// A standstill is when nothing ran here that wanted to: for how long at a time, and
// in all, without what a machine with nothing wrong lets it wait.
type standstill struct{ longest, total time.Duration }

// note adds a delay, unless it is one that there always is.
func (s *standstill) note(late time.Duration) {
	s.longest = max(s.longest, late)
	if late > 50*time.Millisecond {
		s.total += late
	}
}

// stalls measures until stall is called.
func stalls(ctx context.Context) (stall func() standstill) {
	ctx, cancel := context.WithCancel(ctx)
	stood := make(chan standstill, 1)
	go func() {
		const every = 10 * time.Millisecond
		var s standstill
		for ctx.Err() == nil {
			due := time.Now().Add(every)
			time.Sleep(every)
			s.note(time.Since(due))
		}
		stood <- s
	}()
	return func() standstill { cancel(); return <-stood }
}

// Ten thousand delays of a millisecond are no excuse for ten seconds.
func TestDelaysThatThereAlwaysAreAreNoStandstill(t *testing.T) {
	var s standstill
	for range 10_000 {
		s.note(time.Millisecond)
	}
	assert.Zero(t, s.total)
	s.note(time.Second)
	s.note(2 * time.Second)
	assert.Equal(t, standstill{longest: 2 * time.Second, total: 3 * time.Second}, s)
}
