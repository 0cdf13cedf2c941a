package hostile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/ext/ack"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/internal/fault"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
)

// number reads an environment variable.
func number(name string, otherwise uint64) uint64 {
	n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// tortured is for how long a torture goes on: TORTURE_TIME, such as 2m.
func tortured() time.Duration {
	d, err := time.ParseDuration(os.Getenv("TORTURE_TIME"))
	if err != nil {
		return 2 * time.Second
	}
	return d
}

// Cuts, half-open and stalled connections, restarts, kicks and refusals in any
// order: every client sees each publisher's messages in order and none twice,
// and where one is missing it has been told of a gap. Afterwards all of them
// hear everything again. TORTURE_SEED runs one again, TORTURE_TIME runs it for
// longer, TORTURE_CLIENTS with more clients.
func TestNothingIsLostInSilenceNorOutOfOrderUnderTorture(t *testing.T) {
	torture(t, fault.Cut, fault.HalfOpen, fault.Stall, fault.Delay)
}

// With bits flipped and bytes repeated or swapped nobody can promise order, but
// both ends go on, and forget it.
func TestCorruptedConnectionsAreSurvived(t *testing.T) {
	torture(t)
}

func torture(t *testing.T, kinds ...fault.Kind) {
	seed := number("TORTURE_SEED", rand.Uint64())
	fmt.Fprintf(os.Stderr, "%s: TORTURE_SEED=%d\n", t.Name(), seed) // at once: there may be no end
	// The first server takes what the process keeps: the network's poller, and a pipe.
	first, err := cometd.NewServer()
	require.NoError(t, err)
	first.Close()
	before := present()
	w := &chamber{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), ordered: len(kinds) > 0}
	w.start()
	w.proxy, err = fault.NewProxy(w.addr(), fault.Random(seed, 8<<10, kinds...))
	require.NoError(t, err)
	defer w.proxy.Close()
	w.calm, err = fault.NewProxy(w.addr(), nil)
	require.NoError(t, err)
	defer w.calm.Close()

	for i := range int(number("TORTURE_CLIENTS", 16)) {
		w.listeners = append(w.listeners, w.listen(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var publishers sync.WaitGroup
	for i := range 4 {
		p := &publisher{w: w, name: strconv.Itoa(i), unsure: map[int]bool{}}
		w.publishers = append(w.publishers, p)
		if i%2 == 1 {
			p.c = w.dial(w.calm.URL(), i)
		}
	}
	for _, p := range w.publishers {
		publishers.Go(func() { p.run(ctx) })
	}
	for end := time.Now().Add(tortured()); time.Now().Before(end); {
		w.harm()
		w.bounded()
		time.Sleep(time.Duration(w.rnd.Int64N(int64(50 * time.Millisecond))))
	}
	w.denied.Store(false)
	w.calmed.Store(true)
	w.proxy.Calm()
	w.proxy.Cut()
	if !w.ordered {
		w.replace()
	}
	w.allHear()
	cancel()
	publishers.Wait()
	w.hearLast()
	w.end()
	w.proxy.Close()
	w.calm.Close()
	assert.Eventually(t, func() bool { return present().within(before) }, long, 10*time.Millisecond, "something is left")
	if now := present(); !now.within(before) {
		t.Logf("left over: %+v, before: %+v", now, before)
	}
}

// What a torture lets a server hold. Its clients are sent some hundred bytes a
// millisecond, and may be away for two seconds: many of them reach the bounds.
const (
	sessionBytes = 64 << 10
	serverBytes  = 512 << 10
)

// A chamber is a server that is restarted, behind proxies, with its clients.
type chamber struct {
	t           *testing.T
	seed        uint64
	rnd         *rand.Rand
	ordered     bool // what arrives is checked
	proxy, calm *fault.Proxy
	denied      atomic.Bool // the policy's mood
	calmed      atomic.Bool // exchanges are harmed no more
	exchanges   []func()    // end what NewRoundTripper has begun

	mu   sync.Mutex
	srv  *server.Server
	hs   *http.Server
	ln   net.Listener
	done chan struct{}

	listeners  []*listener
	publishers []*publisher
	counts     [4]int // of harm
	most       int    // queued bytes
}

var busy = &bayeux.Error{Code: 403, Args: []string{"busy"}, Advice: &bayeux.Advice{Reconnect: bayeux.HandshakeAgain}}

func (w *chamber) start() {
	deny := func() error {
		if w.denied.Load() {
			return busy
		}
		return nil
	}
	srv, err := cometd.NewServer(
		server.WithExtension(ackserver.New()),
		server.WithLimits(server.Limits{SessionBytes: sessionBytes, ServerBytes: serverBytes, Write: time.Second, Handshake: time.Second, Body: time.Second, HeldPerBrowser: -1}),
		server.WithTiming(server.Timing{Timeout: 300 * time.Millisecond, MaxInterval: 2 * time.Second, Sweep: 50 * time.Millisecond}),
		server.WithPolicy(server.Policy{
			Handshake: func(context.Context, *server.Session, *bayeux.Message) error { return deny() },
			Publish:   func(context.Context, *server.Session, *server.Publication) error { return deny() },
		}))
	require.NoError(w.t, err)
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	hs := &http.Server{Handler: srv, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); hs.Serve(ln) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.srv, w.hs, w.ln, w.done = srv, hs, ln, done
}

func (w *chamber) stop() {
	srv := w.server()
	srv.Close()
	w.hs.Close()
	<-w.done
	assert.Zero(w.t, srv.Stats().Sessions)
	assert.Zero(w.t, srv.Stats().QueuedBytes)
}

func (w *chamber) server() *server.Server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.srv
}

func (w *chamber) addr() string { return w.ln.Addr().String() }

func (w *chamber) dial(url string, i int, opts ...client.Option) *client.Client {
	var d transport.Dialer = wsclient.NewDialer()
	if i/2%2 == 1 {
		d = longpoll.NewDialer()
	}
	if i%8 >= 6 {
		opts = append(opts, client.WithHTTPClient(w.overtaking(i)))
	}
	c, err := cometd.New(url, append([]client.Option{
		client.WithTransports(d), client.WithBackoff(10*time.Millisecond, 200*time.Millisecond), client.WithRehandshakeOnNone(),
		client.WithTimeouts(client.Timeouts{Open: time.Second, NetworkDelay: 500 * time.Millisecond, DefaultTimeout: time.Second, Close: 200 * time.Millisecond}),
	}, opts...)...)
	require.NoError(w.t, err)
	return c
}

// overtaking is HTTP whose requests arrive late, or not at all, and whose answers
// are cut short. Those of a client that acknowledges arrive twice, too: a poll
// that its client knows nothing of takes messages with it, and nobody but an
// acknowledgement tells.
func (w *chamber) overtaking(i int) *http.Client {
	base := &http.Transport{}
	rt := fault.NewRoundTripper(base, func(number int) []fault.Step {
		r := rand.New(rand.NewPCG(w.seed+uint64(i), uint64(number)))
		if w.calmed.Load() {
			return nil
		}
		switch n := r.IntN(100); {
		case n < 10:
			if i%2 == 1 {
				return nil
			}
			return []fault.Step{{Kind: fault.Duplicate}}
		case n < 20:
			return []fault.Step{{Kind: fault.Reorder, For: time.Duration(r.Int64N(int64(200 * time.Millisecond)))}}
		case n < 22:
			return []fault.Step{{Kind: fault.Cut}}
		case n < 24:
			return []fault.Step{{Kind: fault.Cut, Way: fault.In, After: r.IntN(200)}}
		}
		return nil
	})
	w.exchanges = append(w.exchanges, func() { rt.Close(); base.CloseIdleConnections() })
	return &http.Client{Transport: rt}
}

// harm does one of the things that happen.
func (w *chamber) harm() {
	switch n := w.rnd.IntN(100); {
	case n < 3:
		w.counts[0]++
		w.stop()
		w.start()
		w.proxy.Retarget(w.addr())
		w.calm.Retarget(w.addr())
		w.calm.Cut()
	case n < 15:
		w.counts[1]++
		w.proxy.Cut()
	case n < 40:
		w.counts[2]++
		for s := range w.server().Sessions() {
			if w.rnd.IntN(8) == 0 {
				s.Kick("torture")
				break
			}
		}
	case n < 60:
		w.counts[3]++
		w.denied.Store(w.rnd.IntN(4) == 0)
	}
}

func (w *chamber) bounded() {
	n := w.server().Stats().QueuedBytes
	w.most = max(w.most, n)
	assert.LessOrEqual(w.t, n, serverBytes+sessionBytes, "queued in the whole server")
}

// allHear waits until everybody has heard from every publisher again.
func (w *chamber) allHear() {
	w.t.Helper()
	begin := time.Now()
	for i, l := range w.listeners {
		before := l.counts()
		ok := assert.Eventually(w.t, func() bool {
			for name, n := range l.counts() {
				if n < before[name]+3 {
					return false
				}
			}
			return len(l.counts()) == len(w.publishers)
		}, 30*time.Second, 5*time.Millisecond, "listener %d of %d hears %v", i, len(w.listeners), before)
		if !ok {
			w.t.Logf("listener %d: %+v, subscription: %v", i, l.c.Stats(), l.sub.Err())
		}
	}
	w.t.Logf("%d restarts, %d cuts, %d kicks, %d changes of policy; all heard everybody again after %v",
		w.counts[0], w.counts[1], w.counts[2], w.counts[3], time.Since(begin).Round(time.Millisecond))
}

func (w *chamber) end() {
	for _, p := range w.publishers {
		if p.c != nil {
			p.c.Close()
			<-p.c.Done()
		}
	}
	total, gaps := 0, 0
	for _, l := range w.listeners {
		l.c.Close()
		<-l.c.Done()
		l.mu.Lock()
		for _, n := range l.heard {
			total += n
		}
		gaps += l.gaps
		if w.ordered {
			assert.Empty(w.t, l.bad)
		}
		l.mu.Unlock()
	}
	for _, end := range w.exchanges {
		end()
	}
	w.t.Logf("%d messages heard, %d gaps told, at most %d bytes queued", total, gaps, w.most)
	w.stop()
}

// hearLast waits until everybody has heard the last message of each publisher
// that was taken, or has been told of a gap after what they have heard.
func (w *chamber) hearLast() {
	w.t.Helper()
	for i, l := range w.listeners {
		for _, p := range w.publishers {
			last := p.last()
			assert.Eventually(w.t, func() bool { return l.hasHeard(p.name, last) }, 30*time.Second, 5*time.Millisecond,
				"listener %d (ack %t, %s): /t/%s %d", i, l.ack, l.transport, p.name, last)
		}
	}
}

// A note is what publishers publish.
type note struct {
	From string
	N    int
}

type publisher struct {
	w    *chamber
	name string
	c    *client.Client // nil: it publishes on the server

	mu     sync.Mutex
	unsure map[int]bool // may not have been taken
	taken  int          // the last that surely was
}

func (p *publisher) last() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

func (p *publisher) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		err := p.publish(ctx, note{p.name, n})
		p.mu.Lock()
		if err != nil {
			p.unsure[n] = true
		} else {
			p.taken = n
		}
		p.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

func (p *publisher) publish(ctx context.Context, v note) error {
	if p.c == nil {
		return p.w.server().Publish(ctx, "/t/"+p.name, v)
	}
	p.mu.Lock()
	p.unsure[v.N] = true // it may be heard before its publisher has the answer, or not at all
	p.mu.Unlock()
	err := p.c.Publish(ctx, "/t/"+p.name, v)
	if err == nil {
		p.mu.Lock()
		delete(p.unsure, v.N)
		p.mu.Unlock()
	}
	return err
}

func (p *publisher) isUnsure(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unsure[n]
}

// A listener checks what it hears.
type listener struct {
	w         *chamber
	c         *client.Client
	sub       *client.Subscription
	ack       bool
	transport string

	mu    sync.Mutex
	next  map[string]int
	told  map[string]bool // of a gap, since the last message
	late  map[note]bool   // were left out, and may still come: their publisher does not know whether they were taken
	heard map[string]int
	gaps  int
	bad   []string
}

func (w *chamber) listen(i int) *listener {
	l := &listener{w: w, next: map[string]int{}, told: map[string]bool{}, late: map[note]bool{}, heard: map[string]int{}}
	var opts []client.Option
	if l.ack = i%2 == 0; l.ack {
		opts = append(opts, client.WithExtension(ack.Client()))
	}
	l.c = w.dial(w.proxy.URL(), i, opts...)
	l.transport = []string{"WebSocket", "long-polling", "WebSocket", "long-polling, requests harmed"}[i/2%4]
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	var err error
	l.sub, err = l.c.SubscribeFunc(ctx, "/t/*", l.hear, client.WithQueue(1<<16, client.Pause), client.WithOnGap(l.gap))
	if w.ordered {
		require.NoError(w.t, err)
	}
	return l
}

// replace puts new listeners in the place of those that have ended: by a
// corrupted refusal, say, or a handshake reply that names no transport they
// know.
func (w *chamber) replace() {
	ended := 0
	for i, l := range w.listeners {
		if l.c.State() != bayeux.Stopped && l.sub != nil && l.sub.Err() == nil {
			continue
		}
		ended++
		l.c.Close()
		<-l.c.Done()
		w.listeners[i] = w.listen(i)
	}
	w.t.Logf("%d of %d listeners were misled into giving up", ended, len(w.listeners))
}

func (l *listener) gap(g client.Gap) {
	if l.ack && g.Reason != transport.Expired {
		l.complain("a gap in spite of acknowledgements: %+v", g)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gaps++
	for name := range l.next {
		l.told[name] = true
	}
}

func (l *listener) hear(_ context.Context, m *bayeux.Message) error {
	var v note
	if err := json.Unmarshal(m.Data, &v); err != nil || "/t/"+v.From != m.Channel {
		v.From = "spoiled"
		if l.w.ordered {
			l.complain("not what was sent: %s %s", m.Channel, m.Data)
		}
		return nil
	}
	l.mu.Lock()
	if l.late[v] { // its publisher gave up waiting before it went out again
		delete(l.late, v)
		l.mu.Unlock()
		return nil
	}
	want, before := l.next[v.From]
	told := l.told[v.From]
	l.next[v.From], l.told[v.From] = v.N+1, false
	l.heard[v.From]++
	l.mu.Unlock()
	switch {
	case !before:
	case v.N < want:
		l.complain("%s: %d after %d", m.Channel, v.N, want-1)
	case v.N > want:
		l.judge(v, want, told)
	}
	return nil
}

// judge complains of a hole, unless a gap was told or its numbers were perhaps
// never taken.
func (l *listener) judge(v note, want int, told bool) {
	i, _ := strconv.Atoi(v.From)
	if i >= len(l.w.publishers) {
		return
	}
	for n := want; n < v.N; n++ {
		if l.w.publishers[i].isUnsure(n) {
			l.mu.Lock()
			l.late[note{v.From, n}] = true
			l.mu.Unlock()
			continue
		}
		if !told {
			l.complain("/t/%s: %d is missing before %d, and no gap was told (ack %t, %s)", v.From, n, v.N, l.ack, l.transport)
			return
		}
	}
}

func (l *listener) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.bad) < 10 {
		l.bad = append(l.bad, fmt.Sprintf(format, args...))
	}
}

func (l *listener) hasHeard(name string, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next[name] > n || l.told[name]
}

func (l *listener) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[string]int{}
	for name, n := range l.heard {
		counts[name] = n
	}
	return counts
}
