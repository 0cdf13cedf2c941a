package hostile_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/server"
	"github.com/gocometd/cometd/transport"
)

// quiet is how many messages each healthy client hears before an attack that is
// measured.
const quiet = 400

var began = time.Now()

// measuring: HOSTILE_SCALE is set, and figures are wanted.
func measuring() bool { return os.Getenv("HOSTILE_SCALE") != "" }

// A beat is what healthy clients hear.
type beat struct {
	N  int
	At time.Duration // since began
}

// A healthy client checks that beats come in order, none missing, and notes how
// long they took.
type healthy struct {
	*client.Client
	t *testing.T

	got   atomic.Int64
	mu    sync.Mutex
	next  int
	bad   error
	quiet []time.Duration
	under []time.Duration // attack
	phase *[]time.Duration
}

func newHealthy(x *target, d transport.Dialer) *healthy {
	ctx, cancel := context.WithTimeout(x.t.Context(), long)
	defer cancel()
	c, err := cometd.Dial(ctx, x.url(), client.WithTransports(d))
	require.NoError(x.t, err)
	x.Session(c.ID()).SetTiming(server.Timing{MaxInterval: long}) // a busy machine is no attack
	h := &healthy{Client: c, t: x.t, next: -1}
	h.phase = &h.quiet
	_, err = c.SubscribeFunc(ctx, "/healthy", h.hear, client.WithOnGap(func(g client.Gap) { h.fail(fmt.Errorf("a gap: %+v", g)) }))
	require.NoError(x.t, err)
	return h
}

func (h *healthy) hear(_ context.Context, m *bayeux.Message) error {
	var b beat
	if err := json.Unmarshal(m.Data, &b); err != nil {
		h.fail(err)
	}
	took := time.Since(began) - b.At
	h.mu.Lock()
	want := h.next
	h.next = b.N + 1
	if h.phase != nil {
		*h.phase = append(*h.phase, took)
	}
	h.mu.Unlock()
	if want >= 0 && b.N != want {
		h.fail(fmt.Errorf("got message %d, want %d", b.N, want))
	}
	h.got.Add(1)
	return nil
}

func (h *healthy) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad == nil {
		h.bad = err
	}
}

func (h *healthy) fault() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bad
}

// attacked begins the time under attack, relieved ends it.
func (h *healthy) attacked() { h.enter(&h.under) }
func (h *healthy) relieved() { h.enter(nil) }

func (h *healthy) enter(phase *[]time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase = phase
}

// await waits for n more messages.
func (h *healthy) await(n int64) {
	h.t.Helper()
	n += h.got.Load()
	require.Eventually(h.t, func() bool { return h.got.Load() >= n }, long, time.Millisecond, "the healthy client hears nothing")
}

func (h *healthy) end() {
	h.Close()
	<-h.Done()
}

// p99 is the delay that one in a hundred exceeds.
func p99(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)*99-1)/100]
}

// memory is the most that this process had: the server, its clients and its
// attackers.
type memory struct{ heap, resident atomic.Uint64 }

func (m *memory) note() {
	if !measuring() {
		return
	}
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	raise(&m.heap, heap[0].Value.Uint64())
	b, _ := os.ReadFile("/proc/self/statm") // pages: size, resident, …; not on every system
	if fields := bytes.Fields(b); len(fields) > 1 {
		pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
		raise(&m.resident, pages*uint64(os.Getpagesize()))
	}
}

func raise(most *atomic.Uint64, n uint64) {
	for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
	}
}

// rows are what report has collected, for the table at the end.
var rows struct {
	sync.Mutex
	all []string
}

// report logs what the healthy clients and the memory went through.
func (x *target) report() {
	if !measuring() {
		return
	}
	cells := []string{x.t.Name()}
	for _, h := range x.clients {
		h.mu.Lock()
		before, under := p99(h.quiet), p99(h.under)
		cells = append(cells, before.Round(10*time.Microsecond).String(), under.Round(10*time.Microsecond).String(),
			fmt.Sprintf("%.1f", float64(under)/float64(cmp.Or(before, 1))), strconv.Itoa(len(h.under)))
		h.mu.Unlock()
	}
	cells = append(cells, mib(x.memory.heap.Load()), mib(x.memory.resident.Load()))
	x.t.Logf("p99 over a WebSocket %s quiet, %s attacked; by long-polling %s and %s; at most %s MiB of heap, %s MiB resident",
		cells[1], cells[2], cells[5], cells[6], cells[9], cells[10])
	rows.Lock()
	defer rows.Unlock()
	rows.all = append(rows.all, strings.Join(cells, "\t"))
}

func mib(n uint64) string { return strconv.FormatUint(n>>20, 10) }

// table writes the rows of all tests.
func table(w io.Writer) {
	rows.Lock()
	defer rows.Unlock()
	if len(rows.all) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "healthy clients, p99:\tWebSocket\t\t\t\tlong-polling\t\t\t\tMiB at most")
	fmt.Fprintln(t, "\tquiet\tattacked\ttimes\tmessages\tquiet\tattacked\ttimes\tmessages\theap\tresident")
	for _, row := range rows.all {
		fmt.Fprintln(t, row)
	}
	t.Flush()
}
