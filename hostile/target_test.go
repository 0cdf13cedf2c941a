// Package hostile attacks a real server over real sockets of the loopback, and
// tortures servers and clients with bad networks. It has tests only. SECURITY.md
// says which of them holds which promise.
//
// While an attack goes on, two healthy clients, one on each transport, get
// numbered messages in order; afterwards sessions, connections, goroutines,
// descriptors and queued bytes are back where they were.
//
// HOSTILE_SCALE multiplies the numbers of the attacks, which are chosen for a
// quick run. What attacks do to healthy clients is measured where server and
// attackers have processes of their own. scripts/hostile does both.
package hostile_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/longpoll"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
	"github.com/gocometd/cometd/wsclient"
	"github.com/gocometd/cometd/wsserver"
)

const (
	long  = 10 * time.Second       // how long a test waits for what must happen
	short = time.Second            // limits of time that tests wait for: healthy clients keep them on a busy machine, too
	brief = 100 * time.Millisecond // the grace of a session that nobody will ask for
	sweep = 50 * time.Millisecond
)

// scaled multiplies n by HOSTILE_SCALE.
func scaled(n int) int {
	f, err := strconv.ParseFloat(os.Getenv("HOSTILE_SCALE"), 64)
	if err != nil {
		return n
	}
	return int(float64(n) * f)
}

// A target is a server with short limits under attack, and its healthy clients.
type target struct {
	*server.Server
	t    testing.TB
	addr string
	log  *journal

	clients [2]*healthy
	grace   atomic.Int64 // of a new session, in nanoseconds
	planted string       // in a line of the log about a panic that the test wants
	before  usage
	secure  string     // its address for TLS, if it has one
	peers   []net.Conn // the attackers
	from    net.Addr   // their address, if it matters
	tally   *tally     // counts what they do, if somebody wants to know
}

// limits are those of a target where its test sets no others.
var limits = server.Limits{
	MessageBytes: 64 << 10, SessionBytes: 128 << 10, ServerBytes: 2 << 20,
	Subscriptions: 100, ChannelsCreated: 100,
}

// hurried is l with short limits of time.
func hurried(l server.Limits) server.Option {
	l.Handshake, l.Body, l.Write = short, short, short
	return server.WithLimits(l)
}

func attack(t *testing.T, opts ...server.Option) *target {
	x := &target{t: t, log: &journal{}}
	x.grace.Store(int64(long))
	var err error
	x.Server, err = cometd.NewServer(append([]server.Option{
		server.WithTransports(wsserver.NewAcceptor(wsserver.WithSendBuffer(32<<10)), longpoll.NewAcceptor(), longpoll.NewCallbackAcceptor()),
		server.WithLimits(limits),
		server.WithTiming(server.Timing{Timeout: time.Minute, Sweep: sweep}),
		server.WithExtension(server.Extension{Name: "grace", Channels: []string{bayeux.MetaHandshake}, Incoming: x.newcomer}),
		server.WithLogger(slog.New(speller{slog.NewTextHandler(x.log, &slog.HandlerOptions{Level: slog.LevelDebug}), x.log})),
	}, opts...)...)
	require.NoError(t, err)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	x.addr = ln.Addr().String()
	hs := &http.Server{Handler: x, ReadHeaderTimeout: short, ErrorLog: slog.NewLogLogger(slog.NewTextHandler(x.log, nil), slog.LevelError)}
	served := make(chan struct{})
	go func() { defer close(served); hs.Serve(ln) }()
	t.Cleanup(func() {
		x.Close()
		hs.Close()
		<-served
		x.faultless()
	})
	x.attend()
	x.grace.Store(int64(short))
	return x
}

// newcomer gives a session its grace: healthy clients, which come first, have
// all the time that a busy machine may take.
func (x *target) newcomer(_ context.Context, s *server.Session, _ *bayeux.Message) error {
	s.SetTiming(server.Timing{MaxInterval: time.Duration(x.grace.Load())})
	return nil
}

// abandons says that nobody will ask for sessions of the attack again: over need
// not wait for their grace.
func (x *target) abandons() { x.grace.Store(int64(brief)) }

// faultless fails the test if a panic is in the log, which peers see as a 500 in
// Bayeux at most, or anything else that is our fault and not a peer's.
func (x *target) faultless() {
	x.t.Helper()
	planted := 0
	for _, line := range x.log.faults() {
		if x.planted != "" && strings.Contains(line, x.planted) {
			planted++
			continue
		}
		assert.Fail(x.t, "the server has failed", "%s", line)
	}
	if x.planted != "" {
		assert.Equal(x.t, 1, planted, "the panic that the test wants is in the log")
	}
}

func (x *target) url() string { return "http://" + x.addr + "/cometd" }

// attend brings the healthy clients, and what they hear.
func (x *target) attend() {
	for i, d := range []transport.Dialer{wsclient.NewDialer(), longpoll.NewDialer()} {
		x.clients[i] = newHealthy(x.t, x.url(), d)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				x.Publish(context.Background(), "/healthy", beat{n, time.Since(began)})
			}
		}
	}()
	x.t.Cleanup(func() {
		close(stop)
		<-stopped
		for _, c := range x.clients {
			c.end()
		}
	})
	await(5, x.clients[:]...)
	for range 20 {
		x.before = x.before.max(x.use())
		time.Sleep(2 * time.Millisecond)
	}
}

// over ends the attack, its own ends first: the healthy clients have missed nothing, and nothing of
// the attack is left.
func (x *target) over() {
	x.t.Helper()
	await(5, x.clients[:]...)
	x.hangUp()
	var now usage
	ok := assert.Eventually(x.t, func() bool {
		now = x.use()
		return now.within(x.before)
	}, long, 10*time.Millisecond)
	if !ok {
		x.t.Logf("left over: %+v, before the attack: %+v", now, x.before)
		if now.goroutines > x.before.goroutines+2 {
			pprof.Lookup("goroutine").WriteTo(x.t.Output(), 1)
		}
	}
	for _, c := range x.clients {
		assert.NoError(x.t, c.fault(), "the healthy client over %s", c.Stats().Transport)
		assert.Zero(x.t, c.Stats().Reconnects, "the healthy client lost its connection")
	}
}

// hangUp closes what attackers have left open.
func (x *target) hangUp() {
	for _, p := range x.peers {
		p.Close()
	}
}

// usage is what an attack must not leave behind.
type usage struct {
	sessions, channels, goroutines, files int
	queued                                bool
}

func (x *target) use() usage {
	s, u := x.Stats(), present()
	u.sessions, u.channels, u.queued = s.Sessions, s.Channels, s.QueuedBytes > 4096
	return u
}

// present is what the process has.
func present() usage {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		files = nil // not on this system
	}
	return usage{goroutines: runtime.NumGoroutine(), files: len(files)}
}

func (u usage) max(v usage) usage {
	return usage{max(u.sessions, v.sessions), max(u.channels, v.channels), max(u.goroutines, v.goroutines), max(u.files, v.files), false}
}

// within allows what comes and goes with a healthy client's polls.
func (u usage) within(v usage) bool {
	return u.sessions <= v.sessions && u.channels <= v.channels && u.goroutines <= v.goroutines+2 && u.files <= v.files+2 && !u.queued
}

// A journal is a log that tests read.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	words map[string]bool // those that a speller has seen
}

// A speller notes what the handlers of a log need not escape, for it should never
// be a peer's: messages, and names of attributes.
type speller struct {
	slog.Handler
	to *journal
}

func (s speller) Handle(ctx context.Context, r slog.Record) error {
	s.to.spell(r.Message)
	r.Attrs(func(a slog.Attr) bool { s.to.spell(a.Key); return true })
	return s.Handler.Handle(ctx, r)
}

func (j *journal) spell(word string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.words == nil {
		j.words = map[string]bool{}
	}
	j.words[word] = true
}

// spelled are the words that spellers have seen.
func (j *journal) spelled() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Collect(maps.Keys(j.words))
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// faults are the lines about what is never a peer's fault: of our server at level
// Error, and of net/http, which recovers panics too.
func (j *journal) faults() (all []string) {
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, " level=ERROR ") {
			all = append(all, line)
		}
	}
	return all
}
