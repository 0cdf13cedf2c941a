package hostile_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/ext/ack/ackserver"
	"github.com/gocometd/cometd/server"
)

// A sleeper is a client in a process of its own that can be suspended.
type sleeper struct {
	t     *testing.T
	pid   int
	in    io.Writer
	lines chan string
}

func newSleeper(t *testing.T, url, transport string) *sleeper {
	cmd := start(t, "HOSTILE_CLIENT", []string{"HOSTILE_SUSPENDED=" + url, "HOSTILE_TRANSPORT=" + transport})
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	s := &sleeper{t: t, pid: cmd.Process.Pid, in: in, lines: make(chan string)}
	over, stop := context.WithCancel(context.Background())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case s.lines <- lines.Text():
			case <-over.Done():
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		s.signal(syscall.SIGCONT)
		in.Close()
		<-read
		assert.NoError(t, cmd.Wait())
	})
	return s
}

func (s *sleeper) signal(sig syscall.Signal) { assert.NoError(s.t, syscall.Kill(s.pid, sig)) }

// next is the next line that the client prints: "message 7", or "gap expired".
func (s *sleeper) next() (what, value string) {
	s.t.Helper()
	select {
	case line := <-s.lines:
		what, value, _ = strings.Cut(line, " ")
	case <-time.After(6 * long):
		require.Fail(s.t, "the client says nothing")
	}
	return what, value
}

// until reads lines up to one of a message with number n or a later one. It is
// the number of the message, and the gaps before it; messages that are out of
// order fail the test.
func (s *sleeper) until(n, before int) (last int, gaps []string) {
	s.t.Helper()
	told := before < 0 // the first message may be any
	for last = before; last < n; {
		what, value := s.next()
		if what == "gap" {
			gaps, told = append(gaps, value), true
			continue
		}
		i, err := strconv.Atoi(value)
		require.NoError(s.t, err)
		require.Greater(s.t, i, last, "a message that was there before")
		if !told {
			require.Equal(s.t, last+1, i, "a hole that nobody tells of")
		}
		last, told = i, false
	}
	return last, gaps
}

// awake starts a server that acknowledges, holds connects for a moment and keeps
// sessions for a grace.
func awake(t *testing.T, grace time.Duration) (srv *server.Server, url string) {
	srv, err := cometd.NewServer(server.WithExtension(ackserver.New()),
		server.WithTiming(server.Timing{Timeout: 300 * time.Millisecond, MaxInterval: grace, Sweep: 50 * time.Millisecond}))
	require.NoError(t, err)
	hs := httptest.NewServer(srv)
	t.Cleanup(func() {
		srv.Close()
		hs.Close()
	})
	return srv, hs.URL + "/cometd"
}

// numbered publishes numbers on /n until the test ends, and says the last one.
func numbered(t *testing.T, srv *server.Server) (last func() int) {
	numbers, stop := make(chan int), make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-tick.C:
				srv.Publish(context.Background(), "/n", n)
				n++
			case numbers <- n - 1:
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return func() int { return <-numbers }
}

// nudgedBack is how soon a client that is nudged when it wakes up hears again. Who
// hears nothing of the waking has to find out by what has not come.
const nudgedBack = 2 * time.Second

// A client's process that is suspended for longer than the server keeps its
// session, as a laptop's is whose lid is closed, hears again within two seconds of
// waking up if it is nudged, and else within some more, and has told its
// subscription of the gap. The machine may have stood still meanwhile.
func TestASuspendedClientTellsItsGapAndIsBack(t *testing.T) {
	for _, transport := range []string{bayeux.WebSocket, bayeux.LongPolling} {
		for _, nudged := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, nudged %t", transport, nudged), func(t *testing.T) {
				srv, url := awake(t, 300*time.Millisecond)
				last := numbered(t, srv)
				s := newSleeper(t, url, transport)
				heard, _ := s.until(last()+1, -1)
				s.signal(syscall.SIGSTOP)
				require.Eventually(t, func() bool { return srv.Stats().Sessions == 0 }, 6*long, 10*time.Millisecond, "the session outlives its client")
				missed := last()
				woken, stall := time.Now(), stalls(t.Context())
				s.signal(syscall.SIGCONT)
				if nudged {
					io.WriteString(s.in, "\n")
				}
				_, gaps := s.until(missed+1, heard)
				took, stood := time.Since(woken), stall()
				t.Logf("hears again after %v; the machine stood still for %v", took.Round(time.Millisecond), stood.total.Round(time.Millisecond))
				assert.Contains(t, gaps, "expired")
				within := long
				if nudged {
					within = nudgedBack
				}
				assert.Less(t, took, within+stood.total)
			})
		}
	}
}

// With acknowledgement a shorter sleep loses and repeats nothing.
func TestAClientSuspendedForAMomentMissesNothing(t *testing.T) {
	for _, transport := range []string{bayeux.WebSocket, bayeux.LongPolling} {
		t.Run(transport, func(t *testing.T) {
			srv, url := awake(t, time.Minute)
			last := numbered(t, srv)
			s := newSleeper(t, url, transport)
			heard, _ := s.until(last()+1, -1)
			s.signal(syscall.SIGSTOP)
			require.Eventually(t, func() bool { return srv.Stats().Held == 0 }, 6*long, 10*time.Millisecond, "the connect is answered")
			missed := last()
			s.signal(syscall.SIGCONT)
			_, gaps := s.until(missed+50, heard)
			assert.Empty(t, gaps)
		})
	}
}
