package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/internal/fault"
	"github.com/gocometd/cometd/server"
)

// A target is a server that a bench is pointed at, through a proxy.
type target struct {
	*server.Server
	direct string
	proxy  *fault.Proxy
	bench  benchCmd
}

func newTarget(t *testing.T, limits server.Limits) *target {
	srv, err := cometd.NewServer(server.WithLimits(limits), server.WithTiming(server.Timing{MaxInterval: time.Hour}))
	require.NoError(t, err)
	web := httptest.NewServer(srv)
	t.Cleanup(web.Close)
	t.Cleanup(func() { srv.Close() })
	proxy, err := fault.NewProxy(web.Listener.Addr().String(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { proxy.Close() })
	return &target{srv, web.URL, proxy, benchCmd{connection: through(proxy, "auto"), Clients: 2, Publishers: 1, Channels: 1, Prefix: "/bench"}}
}

// cut breaks all connections.
func (a *target) cut(t *testing.T) {
	a.proxy.Cut()
	require.Eventually(t, func() bool { return a.Stats().Conns == 0 }, patience, time.Millisecond)
}

// overflow ends all sessions by their queues.
func (a *target) overflow(t *testing.T) {
	for s := range a.Sessions() {
		for s.Context().Err() == nil {
			s.Batch(func() {
				require.NoError(t, s.Send("/a", strings.Repeat("x", 1000)))
				require.NoError(t, s.Send("/a", strings.Repeat("x", 1000)))
			})
		}
	}
}

// What has become of somebody who does not read is told with its reason: that of
// the close frame, or of the answer to who comes back.
func TestBenchTellsWhatBecameOfAStalledSubscriber(t *testing.T) {
	for name, c := range map[string]struct {
		does func(*target, *testing.T)
		fate stalledFate
		text string
	}{
		"its queue was full": {(*target).overflow,
			stalledFate{Socket: "closed", Reason: "1013 session_queue: limit is 1000 bytes"}, "closed: 1013 session_queue: limit is 1000 bytes"},
		"nobody could tell it so": {func(a *target, t *testing.T) { a.cut(t); a.overflow(t) },
			stalledFate{Socket: "cut", Session: "ended", Refusal: "402:session_queue,1000:session_unknown"},
			"cut off, its session ended: 402:session_queue,1000:session_unknown"},
		"it was away for too long": {func(a *target, t *testing.T) {
			a.cut(t)
			for s := range a.Sessions() {
				s.Expire(time.Now(), 0)
				<-s.Context().Done()
			}
		}, stalledFate{Socket: "cut", Session: "ended", Refusal: "402::session_unknown"}, "cut off, its session ended: 402::session_unknown"},
		"it may come back":   {(*target).cut, stalledFate{Socket: "cut", Session: "alive"}, "cut off, its session alive"},
		"the server is gone": {func(a *target, _ *testing.T) { a.Close() }, stalledFate{Socket: "closed", Reason: "1001 the server is going away"}, "closed: 1001 the server is going away"},
		"nothing": {func(*target, *testing.T) {}, stalledFate{Socket: "open", Session: "alive"},
			"still open, for buffers and queues had room for all that it did not read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newTarget(t, server.Limits{SessionBytes: 1000})
			web, err := a.bench.browser()
			require.NoError(t, err)
			defer web.CloseIdleConnections()
			r := &benchRun{benchCmd: &a.bench, web: web}
			s, err := r.stall(t.Context(), "/a")
			require.NoError(t, err)
			defer s.close()
			c.does(a, t)
			fate := s.fate(t.Context())
			assert.Equal(t, c.fate, fate)
			assert.Equal(t, c.text, fate.String())
		})
	}
}

// A stalled subscriber is let in where the others are.
func TestAStalledSubscriberSendsWhatTheOthersSend(t *testing.T) {
	seen := make(chan *http.Request, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer web.Close()
	b := &benchCmd{connection: connection{Wait: patience, URL: web.URL, Basic: "ada:secret", Header: []string{"X-Tenant: acme"}, Cookie: []string{"a=b"}}}
	browser, err := b.browser()
	require.NoError(t, err)
	defer browser.CloseIdleConnections()
	_, err = (&benchRun{benchCmd: b, web: browser}).stall(t.Context(), "/a")
	assert.ErrorContains(t, err, "401")
	r := <-seen
	user, password, _ := r.BasicAuth()
	assert.Equal(t, []string{"ada", "secret", "acme"}, []string{user, password, r.Header.Get("X-Tenant")})
	cookie, err := r.Cookie("a")
	require.NoError(t, err)
	assert.Equal(t, "b", cookie.Value)
}

func TestBenchCountsEqualFates(t *testing.T) {
	open, cut := stalledFate{Socket: "closed", Reason: "1000"}, stalledFate{Socket: "cut"}
	assert.Equal(t, "2 closed: 1000; 1 cut off", told([]stalledFate{open, cut, open}))
	assert.Equal(t, `1 closed: 1013 \u001b[31m`, told([]stalledFate{{Socket: "closed", Reason: "1013 \x1b[31m"}}), "a terminal does not obey")
	assert.Equal(t, "1 still open, its session ended: 402::gone", told([]stalledFate{{Socket: "open", Session: "ended", Refusal: "402::gone"}}))
}

// The others are worse off if their p99 is so by more than the control differs
// from itself.
func TestBenchJudgesByTheSpreadOfTheControl(t *testing.T) {
	for name, c := range map[string]struct {
		control, stalled []int64
		within           any
		says             string
	}{
		"better":          {[]int64{20, 10, 30}, []int64{19, 40, 9}, true, "no worse than control, 1µs better: within its spread of 20µs"},
		"the same":        {[]int64{10, 10}, []int64{10, 10}, true, "no worse than control, 0s better: within its spread of 0s"},
		"as bad as it is": {[]int64{10, 30}, []int64{40, 40}, true, "20µs worse than control: within its spread of 20µs"},
		"worse":           {[]int64{10, 20, 30}, []int64{41, 1, 50}, false, "21µs worse than control: 1µs beyond its spread of 20µs"},
		"one round":       {[]int64{10}, []int64{11}, nil, "1µs worse than control; a single run has no spread to judge that by"},
	} {
		t.Run(name, func(t *testing.T) {
			var runs []*benchReport
			for i := range c.control {
				runs = append(runs, reportOf(c.control[i], 0), reportOf(c.stalled[i], 1))
			}
			x, ok := compare(runs)
			require.True(t, ok)
			assert.Equal(t, c.says, x.verdict())
			var parsed map[string]any
			text, err := json.Marshal(x)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, &parsed))
			assert.Equal(t, c.within, parsed["within_spread"])
		})
	}
	x, _ := compare([]*benchReport{reportOf(4, 0), reportOf(1, 1), reportOf(2, 0)})
	assert.Equal(t, benchRange{2, 3, 4}, x.Control.P99, "the median of two is between them")
}

func reportOf(p99 int64, stalled int) *benchReport {
	return &benchReport{Stalled: stalled, benchMeasured: benchMeasured{Delivered: 1, Latency: latencies{P99: p99}}}
}

// Numbers of a run that was cut short, or had no deliveries, say nothing of the
// others; what was lost in it, and what became of the stalled, they do.
func TestBenchComparesWholeRunsOnly(t *testing.T) {
	cut, empty := reportOf(0, 1), reportOf(0, 0)
	cut.cut, cut.Lost, cut.Fates = true, 1, []stalledFate{{Socket: "cut"}}
	empty.Delivered = 0
	control, stalled := reportOf(10, 0), reportOf(12, 1)
	x, ok := compare([]*benchReport{control, stalled, empty, cut})
	require.True(t, ok)
	assert.Equal(t, benchSide{Runs: 1, P99: benchRange{10, 10, 10}}, x.Control)
	assert.Equal(t, benchSide{Runs: 1, P99: benchRange{12, 12, 12}}, x.WithStalled)
	assert.EqualValues(t, 1, x.Lost)
	assert.Len(t, x.Fates, 1)
	for _, runs := range [][]*benchReport{{control, cut}, {empty, stalled}, {control, control}, nil} {
		_, ok := compare(runs)
		assert.False(t, ok, "there is one kind at most")
	}

	r := &benchRun{benchCmd: &benchCmd{benchLoad: benchLoad{Duration: time.Hour}}, count: newBenchCount(1, 16)}
	r.count.measure(r.count.began, time.Hour)
	assert.False(t, r.report(nil, 0).cut)
	r.count.cutShort(r.count.began.Add(time.Minute))
	assert.True(t, r.report(nil, 0).cut)
}

func TestBenchTablesWhatBothKindsOfRunsHad(t *testing.T) {
	x, _ := compare([]*benchReport{
		{Clients: 9, benchMeasured: benchMeasured{Delivered: 1, Latency: latencies{P99: 12_345}}, Memory: 30 << 20},
		{Clients: 9, benchMeasured: benchMeasured{Delivered: 1, Latency: latencies{P99: 10_000}}, Memory: 31 << 20, Stalled: 1, Fates: []stalledFate{{Socket: "cut"}}, benchFaults: benchFaults{Lost: 1}},
		{Clients: 9, benchMeasured: benchMeasured{Delivered: 1, Latency: latencies{P99: 20_000}}, Memory: 40 << 20, benchFaults: benchFaults{Repeated: 2}},
		{Clients: 9, benchMeasured: benchMeasured{Delivered: 1, Latency: latencies{P99: 16_000}}, Memory: 41 << 20, Stalled: 1, Fates: []stalledFate{{Socket: "cut"}}},
	})
	assert.Equal(t, `9 clients, 2 runs with 1 stalled and 2 without, in turn

                                    least     median       most
p99, control                       12.3ms     16.2ms       20ms
p99, 1 stalled                       10ms       13ms       16ms
server's memory, control          30.0MiB    35.0MiB    40.0MiB
server's memory, 1 stalled        31.0MiB    36.0MiB    41.0MiB

p99         no worse than control, 3.17ms better: within its spread of 7.66ms
stalled     2 cut off
lost        1; out of order 0; repeated 2
`, string(x.text()))
}

// The whole command ends with what it is about. A window keeps the queues of the
// others short, however slow the machine is.
func TestBenchComparesRunsWithAStalledSubscriberToRunsWithout(t *testing.T) {
	a := newTarget(t, server.Limits{SessionBytes: 250_000, Write: time.Hour})
	b := a.bench
	b.URL = a.direct // the proxy has buffers of its own
	b.Clients, b.Stalled, b.JSON, b.Window = 1, 1, true, 4
	b.benchLoad = benchLoad{Size: 30_000, Duration: 3 * time.Second, Rounds: 1}
	if _, err := resident(os.Getpid()); err == nil {
		b.PID = os.Getpid()
	}
	var out bytes.Buffer
	require.NoError(t, b.Run(t.Context(), console{out: &out, err: io.Discard}))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	var last benchComparison
	require.NoError(t, json.Unmarshal([]byte(lines[2]), &last))
	assert.Equal(t, 1, last.Stalled)
	require.Len(t, last.Fates, 1)
	assert.Regexp(t, "session_queue.*250000", last.Fates[0].String())
	assert.Positive(t, last.WithStalled.P99.Median)
	assert.Zero(t, last.benchFaults)
	if b.PID > 0 {
		assert.Positive(t, last.WithStalled.Memory.Least)
	}
}

// Who does not say how much to publish gets what makes a stalled one slow for a
// server, and as much as before without one.
func TestBenchChoosesALoadThatStalls(t *testing.T) {
	for args, want := range map[string]benchLoad{
		"":                                {0, 128, 10 * time.Second, 1},
		"--stalled 1":                     stallingLoad,
		"--stalled 1 --rate 3 --rounds 2": {3, stallingLoad.Size, stallingLoad.Duration, 2},
		"--stalled 1 --rate 0 --size 100": {0, 100, stallingLoad.Duration, stallingLoad.Rounds},
		"--duration 1s --rounds 3":        {0, 128, time.Second, 3},
		"--duration 1s --stalled 1":       {stallingLoad.Rate, stallingLoad.Size, time.Second, stallingLoad.Rounds},
	} {
		var c commands
		parser, err := kong.New(&c, kong.Vars{"version": ""})
		require.NoError(t, err)
		_, err = parser.Parse(append([]string{"bench", "http://127.0.0.1:1/"}, strings.Fields(args)...))
		require.NoError(t, err)
		assert.Equal(t, want, c.Bench.benchLoad, args)
	}
}

func TestMemoryOfAProcessIsThatOfTheKernel(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	used := make([]byte, sized)
	w := watchMemory(os.Getpid())
	keep(t, used)
	assert.GreaterOrEqual(t, w.end(), int64(sized))
	runtime.KeepAlive(used)
	_, err := resident(1 << 30)
	assert.ErrorContains(t, err, "/proc/1073741824/status")
}
