package hostile_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/server"
)

// stated are the limits of a server elsewhere: the defaults, but for what
// bounds its memory, and with a limit per address on the loopback too.
var stated = server.Limits{
	MessageBytes: 64 << 10, SessionBytes: 256 << 10, ServerBytes: 32 << 20,
	Conns: 1000, ConnsPerAddr: 900, Sessions: 2000, SessionsPerAddr: 1900, Channels: 20_000, Subscriptions: 100,
}

// serve is a server in a process of its own, with the settings of SECURITY.md.
// It prints its address, and another for TLS and HTTP/2, and what it has for each
// line that it reads, until its input ends.
func serve() {
	failures := &journal{}
	log := slog.NewTextHandler(failures, &slog.HandlerOptions{Level: slog.LevelError})
	srv, err := cometd.NewServer(server.WithLimits(stated), server.WithTiming(server.Timing{MaxInterval: 5 * time.Second}), server.WithLogger(slog.New(log)))
	if err != nil {
		panic(err)
	}
	plain, secure := onLoopback(), onLoopback()
	go web(srv, log).Serve(plain)
	go web(srv, log).ServeTLS(secure, "", "") // another http.Server: one that serves without TLS first has no HTTP/2
	fmt.Println(plain.Addr(), secure.Addr())
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for in.Scan() {
		failed := failures.String()
		out.Encode(has{srv.Stats(), runtime.NumGoroutine(), failed[:min(len(failed), 4<<10)]})
	}
}

func web(srv *server.Server, log slog.Handler) *http.Server {
	return &http.Server{
		Handler: srv, ConnState: srv.ConnState, ErrorLog: slog.NewLogLogger(ours{log}, slog.LevelError),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second,
		HTTP2: &http.HTTP2Config{WriteByteTimeout: 10 * time.Second}, TLSConfig: &tls.Config{Certificates: certificates()},
	}
}

// ours is a log without what net/http says of connections that peers have ended.
type ours struct{ slog.Handler }

func (o ours) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "http: TLS handshake error") || strings.HasPrefix(r.Message, "http2: server") {
		return nil
	}
	return o.Handler.Handle(ctx, r)
}

func onLoopback() net.Listener {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return ln
}

// certificates are those that net/http has for tests.
func certificates() []tls.Certificate {
	hs := httptest.NewTLSServer(nil)
	defer hs.Close()
	return hs.TLS.Certificates
}

// has is what a server says of itself.
type has struct {
	server.Stats
	Goroutines int
	Failed     string // the log's first lines about panics and the like
}

// An elsewhere is a server in a process of its own, seen from outside.
type elsewhere struct {
	t      testing.TB
	addr   string
	secure string // its address for TLS
	proc   *os.Process
	in     io.Writer
	out    *bufio.Reader

	last has // what the server said when its use was last asked for
}

// start runs this program again: in front of it stands the command that the
// environment has under name, such as "taskset -c 0".
func start(t testing.TB, name string, environ []string) *exec.Cmd {
	t.Helper()
	line := append(strings.Fields(os.Getenv(name)), os.Args[0])
	cmd := exec.CommandContext(context.Background(), line[0], line[1:]...)
	cmd.Env = append(os.Environ(), environ...)
	cmd.Stderr = os.Stderr
	return cmd
}

func serveElsewhere(t testing.TB) *elsewhere {
	cmd := start(t, "HOSTILE_SERVER", []string{"HOSTILE_SERVE=1"})
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	s := &elsewhere{t: t, proc: cmd.Process, in: in, out: bufio.NewReader(out)}
	line, err := s.out.ReadString('\n')
	require.NoError(t, err)
	_, err = fmt.Sscan(line, &s.addr, &s.secure)
	require.NoError(t, err)
	return s
}

func (s *elsewhere) url() string { return "http://" + s.addr + "/cometd" }

// use is what the server has now.
func (s *elsewhere) use() usage {
	s.t.Helper()
	_, err := io.WriteString(s.in, "\n")
	require.NoError(s.t, err)
	line, err := s.out.ReadBytes('\n')
	require.NoError(s.t, err)
	var h has
	require.NoError(s.t, json.Unmarshal(line, &h))
	s.last = h
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.proc.Pid))
	require.NoError(s.t, err)
	return usage{sessions: h.Sessions, channels: h.Channels, goroutines: h.Goroutines, files: len(files), queued: h.QueuedBytes > 4096}
}

// peak is the most memory that was resident, in bytes.
func (s *elsewhere) peak() uint64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.proc.Pid))
	require.NoError(s.t, err)
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			kib, err := strconv.ParseUint(f[1], 10, 64)
			require.NoError(s.t, err)
			return kib << 10
		}
	}
	s.t.Fatal("no VmHWM")
	return 0
}

// cpu is the time that the server has computed, in the kernel's ticks of 10 ms.
func (s *elsewhere) cpu() time.Duration {
	s.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.proc.Pid))
	require.NoError(s.t, err)
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// attacked runs f while attackers in another process wage an assault, and
// returns their deeds by the name of the assault: it may be all of them.
func (s *elsewhere) attacked(name string, f func()) (did map[string]deeds) {
	s.t.Helper()
	cmd := start(s.t, "HOSTILE_ATTACKERS", []string{"HOSTILE_TARGET=" + s.addr, "HOSTILE_SECURE=" + s.secure, "HOSTILE_ASSAULT=" + name})
	in, err := cmd.StdinPipe()
	require.NoError(s.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	say := bufio.NewReader(out)
	_, err = say.ReadString('\n') // they begin
	require.NoError(s.t, err)
	f()
	in.Close()
	require.NoError(s.t, json.NewDecoder(say).Decode(&did))
	return did
}
