//go:build linux

package main

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gocometd/cometd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve is a server behind a loopback listener, for which URL begins with
// scheme.
func serve(t *testing.T, scheme string) (url string) {
	srv, err := cometd.NewServer()
	require.NoError(t, err)
	web := httptest.NewUnstartedServer(srv)
	if scheme == "wss" || scheme == "https" {
		web.StartTLS()
	} else {
		web.Start()
	}
	t.Cleanup(func() {
		srv.Close()
		web.Close()
	})
	return scheme + "://" + web.Listener.Addr().String() + "/cometd"
}

func small(url, work string) settings {
	return settings{url: url, proto: "bayeux", work: work, pid: os.Getpid(), n: 20, channels: 2, window: 16, batch: 4,
		payload: 128, conc: 5, total: 20, inflight: 5, warm: 50 * time.Millisecond, dur: 100 * time.Millisecond, sleep: true}
}

// What is published is delivered, in order, over each transport; and the report
// says so.
func TestFanOutCountsEveryDelivery(t *testing.T) {
	for _, scheme := range []string{"ws", "wss", "http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			r, err := run(small(serve(t, scheme), "fanout"))
			require.NoError(t, err)
			assert.EqualValues(t, 0, r["loss"])
			assert.EqualValues(t, 0, r["disorder"])
			assert.Equal(t, r["published"].(int64)*10, r["delivered"], "each to half of 20 subscribers")
			assert.Positive(t, r["p50_us"])
			assert.Positive(t, r["cpu_us"])
			assert.GreaterOrEqual(t, r["frame_us"], r["cpu_us"])
			assert.LessOrEqual(t, r["p50_us"], r["p99_us"])
		})
	}
}

func TestRateIsNotExceeded(t *testing.T) {
	s := small(serve(t, "ws"), "fanout")
	s.rate, s.batch = 200, 1
	r, err := run(s)
	require.NoError(t, err)
	assert.Equal(t, "latency", r["work"])
	assert.Positive(t, r["published"])
	assert.LessOrEqual(t, r["published"], int64(21))
}

func TestSessionsLiveAndLeave(t *testing.T) {
	for _, scheme := range []string{"ws", "http"} {
		r, err := run(small(serve(t, scheme), "sessions"))
		require.NoError(t, err)
		assert.Equal(t, 20, r["total"])
		assert.Positive(t, r["sessions_s"])
	}
}

func TestIdleSessionsAreWeighed(t *testing.T) {
	s := small(serve(t, "ws"), "idle")
	r, err := run(s)
	require.NoError(t, err)
	assert.Positive(t, r["rss_kib"])

	var collected atomic.Bool
	profiles := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/heap" {
			w.WriteHeader(http.StatusNotFound)
		}
		collected.Store(true)
	}))
	defer profiles.Close()
	s.collect = profiles.URL + "/heap"
	_, err = run(s)
	require.NoError(t, err)
	assert.True(t, collected.Load())
	s.collect = profiles.URL + "/other"
	_, err = run(s)
	assert.ErrorContains(t, err, "404")
}

// A message that is missing, or comes twice, is disorder.
func TestScanSeesWhatIsMissing(t *testing.T) {
	s := small("ws://127.0.0.1:1/", "fanout")
	l, err := newLoad(s)
	require.NoError(t, err)
	defer l.closeAll()
	l.now = time.Now().UnixNano()
	l.due = l.now - 5_000_000
	var text []string
	for range 5 {
		text = append(text, string(l.appendData(nil, 0)))
	}
	assert.Len(t, text[0], 128)
	c := &conn{last: -1}
	assert.Equal(t, 2, l.scan(c, []byte(text[0]+text[1])))
	assert.EqualValues(t, 0, l.disorder)
	assert.Equal(t, 1, l.scan(c, []byte(text[3])))
	assert.EqualValues(t, 1, l.disorder, "number 2 is missing")
	assert.Equal(t, 1, l.scan(c, []byte(text[3])))
	assert.EqualValues(t, 2, l.disorder, "number 3 came twice")
	assert.Equal(t, 1, l.scan(c, []byte("@ @"+text[4]+"@@cut")))
	assert.EqualValues(t, 2, l.disorder)
	assert.InDelta(t, 5000, l.quantile(0), 10, "from when they were due")
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for wrong, change := range map[string]func(*settings){
		`-url is "ftp:`:     func(s *settings) { s.url = "ftp://127.0.0.1:1/" },
		`-url is "ws://loc`: func(s *settings) { s.url = "ws://localhost:1/" },
		`-proto is "smoke"`: func(s *settings) { s.proto = "smoke" },
		`-work is "rest"`:   func(s *settings) { s.work = "rest" },
		`refused`:           func(*settings) {},

		`-n is 0`:                             func(s *settings) { s.n = 0 },
		`-n is 3, want one for each of the 4`: func(s *settings) { s.n, s.channels = 3, 4 },
		`-channels is 0`:                      func(s *settings) { s.channels = 0 },
		`-batch is 0`:                         func(s *settings) { s.batch = 0 },
		`-batch of 5 to fit`:                  func(s *settings) { s.window, s.batch = 4, 5 },
		`-payload is 79, want 80`:             func(s *settings) { s.payload = 79 },
		`-conc is -1`:                         func(s *settings) { s.conc = -1 },
		`-rate is -1`:                         func(s *settings) { s.rate = -1 },
		`-pid is 0, want`:                     func(s *settings) { s.work, s.pid = "idle", 0 },
		`-dur is 0s`:                          func(s *settings) { s.dur = 0 },
		`-warm, -settle and -hold are -1`:     func(s *settings) { s.warm = -1 },
	} {
		s := small("ws://127.0.0.1:1/", "fanout")
		change(&s)
		_, err := run(s)
		require.Error(t, err)
		assert.ErrorContains(t, err, wrong)
	}
}

// What does not fit into the buffer is an error, and no end of the connection.
func TestAFrameOverTheBufferIsAnError(t *testing.T) {
	l, err := newLoad(small("ws://127.0.0.1:1/", "fanout"))
	require.NoError(t, err)
	defer l.closeAll()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	defer syscall.Close(ends[1])
	l.buf = make([]byte, 100)
	c := &conn{fd: ends[0], upgraded: true}
	l.conns = make([]*conn, ends[0]+1)
	l.conns[ends[0]] = c
	_, err = syscall.Write(ends[1], append([]byte{0x81, 120}, make([]byte, 120)...))
	require.NoError(t, err)
	l.read(c)
	assert.EqualError(t, l.err, "a frame or response of more than 100 bytes")
	assert.Equal(t, closed, c.state)
}

// Replies are no deliveries: a frame that has nothing else does not count.
func TestFramesOfRepliesDoNotCount(t *testing.T) {
	l, err := newLoad(small("ws://127.0.0.1:1/", "fanout"))
	require.NoError(t, err)
	defer l.closeAll()
	c := &conn{last: -1, state: ready}
	l.due = time.Now().UnixNano()
	reply, event := `{"channel":"/bench/0","id":"7","successful":true}`, string(l.appendData(nil, 0))
	l.heard(c, []byte("["+reply+"]"))
	assert.EqualValues(t, 0, l.frames)
	l.heard(c, []byte("["+reply+","+event+"]"))
	assert.EqualValues(t, 1, l.frames)
	assert.EqualValues(t, 1, l.received)
}

// The CPU time of a process is told finer than in ticks.
func TestCPUTimeIsFine(t *testing.T) {
	least := int64(math.MaxInt64)
	for range 1000 {
		before, err := processClock(os.Getpid())
		require.NoError(t, err)
		after := before
		for after == before {
			after, err = processClock(os.Getpid())
			require.NoError(t, err)
		}
		least = min(least, after-before)
	}
	assert.Less(t, least, int64(tick))
}

// A process that is none has not used nothing: it is an error.
func TestUsageThatCannotBeReadIsAnError(t *testing.T) {
	s := small(serve(t, "ws"), "fanout")
	s.pid = math.MaxInt32
	_, err := run(s)
	assert.ErrorContains(t, err, fmt.Sprintf("-pid %d: ", s.pid))
	s.pid, s.cpu = 0, 1<<20
	_, err = run(s)
	assert.ErrorContains(t, err, "-cpu 1048576: ")
}
