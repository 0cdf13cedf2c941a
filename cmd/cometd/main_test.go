package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gocometd/cometd"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// patience is for what should come in milliseconds, on a machine with better
// things to do.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else each cometd with the race detector in it takes a second to end
	testscript.Main(leakless{m}, map[string]func(){"cometd": main})
}

// leakless fails a run that leaves goroutines behind.
type leakless struct{ *testing.M }

func (l leakless) Run() int {
	code := l.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// The scripts in testdata are what the command line promises.
func TestCommandLine(t *testing.T) {
	testscript.Run(t, params("testdata", "auto"))
}

// The scripts in testdata/transports hold whichever transport carries them.
func TestCommandLineOnEachTransport(t *testing.T) {
	for _, transport := range []string{"auto", "websocket", "long-polling"} {
		t.Run(transport, func(t *testing.T) {
			testscript.Run(t, params("testdata/transports", transport))
		})
	}
}

func params(dir, transport string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TRANSPORT", transport)
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Values["processes"] = map[string]*process{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":       start,
			"waitfor":     waitFor,
			"finish":      finish,
			"exits":       exits,
			"lines":       lines,
			"repeat":      repeat,
			"silent":      silent,
			"swallower":   swallower,
			"deaf":        deaf,
			"certificate": certificate,
		},
	}
}

// A process runs beside the script, and what it has written can be waited for.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	stdout bytes.Buffer
	stderr bytes.Buffer

	mu   sync.Mutex
	more chan struct{} // closed, and made anew, when there is more output
	all  bytes.Buffer
}

// start NAME COMMAND…
func start(ts *testscript.TestScript, _ bool, args []string) {
	p := &process{cmd: exec.Command(args[1], args[2:]...), ended: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Dir = ts.Getenv("WORK")
	p.cmd.Stdout, p.cmd.Stderr = writer{p, &p.stdout}, writer{p, &p.stderr}
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // finish looks at the status
	}()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill() // it may have ended long ago
		<-p.ended
	})
	processes(ts)[args[0]] = p
}

// waitfor NAME REGEXP [VARIABLE]: until the process has written it; the first
// group goes into the variable.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	p, want := lookup(ts, args[0]), regexp.MustCompile(args[1])
	deadline := time.After(patience)
	for {
		output, more := p.output()
		if m := want.FindStringSubmatch(output); m != nil {
			if len(args) > 2 {
				ts.Setenv(args[2], m[1])
			}
			return
		}
		select {
		case <-more:
		case <-p.ended:
			if output, _ := p.output(); !want.MatchString(output) {
				ts.Fatalf("%s ended without %q, but with:\n%s", args[0], args[1], output)
			}
		case <-deadline:
			ts.Fatalf("%s did not write %q, but:\n%s", args[0], args[1], output)
		}
	}
}

// finish NAME STATUS [SIGNAL]: the process ends with the status, after the
// signal. What it wrote is there for stdout and stderr.
func finish(ts *testscript.TestScript, _ bool, args []string) {
	p := lookup(ts, args[0])
	if len(args) > 2 {
		sig, ok := map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGKILL": syscall.SIGKILL}[args[2]]
		if !ok {
			ts.Fatalf("no signal %s", args[2])
		}
		ts.Check(p.cmd.Process.Signal(sig))
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		output, _ := p.output()
		ts.Fatalf("%s does not end; it wrote:\n%s", args[0], output)
	}
	fmt.Fprint(ts.Stdout(), p.stdout.String())
	fmt.Fprint(ts.Stderr(), p.stderr.String())
	expectStatus(ts, args[1], p.cmd.ProcessState.ExitCode(), p.stderr.String())
}

// exits STATUS COMMAND…: like exec, with the status that it must end with.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[1], args[2:]...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		ts.Check(err)
	}
	fmt.Fprint(ts.Stdout(), stdout.String())
	fmt.Fprint(ts.Stderr(), stderr.String())
	expectStatus(ts, args[0], cmd.ProcessState.ExitCode(), stderr.String())
}

func expectStatus(ts *testscript.TestScript, want string, got int, stderr string) {
	if strconv.Itoa(got) != want {
		ts.Fatalf("exit status %d, want %s; stderr:\n%s", got, want, stderr)
	}
}

// repeat NAME COMMAND…: runs the command again and again, until the process has
// ended.
func repeat(ts *testscript.TestScript, _ bool, args []string) {
	p, deadline := lookup(ts, args[0]), time.Now().Add(patience)
	for time.Now().Before(deadline) {
		ts.Check(exec.Command(args[1], args[2:]...).Run())
		select {
		case <-p.ended:
			return
		default:
		}
	}
	ts.Fatalf("%s does not end", args[0])
}

// silent VARIABLE: an address where connections are accepted and never answered.
func silent(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { ln.Close() })
	ts.Setenv(args[0], ln.Addr().String())
}

// swallower VARIABLE: the address of a server behind something that answers no
// upgrade.
func swallower(ts *testscript.TestScript, _ bool, args []string) {
	srv, err := cometd.NewServer()
	ts.Check(err)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			<-r.Context().Done()
			return
		}
		srv.ServeHTTP(w, r)
	}))
	ts.Defer(func() {
		srv.Close()
		hs.Close()
	})
	ts.Setenv(args[0], hs.Listener.Addr().String())
}

// deaf VARIABLE: the address of a server that polls reach, unless they are about
// channels that begin with /a.
func deaf(ts *testscript.TestScript, _ bool, args []string) {
	srv, err := cometd.NewServer()
	ts.Check(err)
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || bytes.Contains(body, []byte(`"/a`)) {
			<-r.Context().Done()
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		srv.ServeHTTP(w, r)
	}))
	ts.Defer(func() {
		srv.Close()
		hs.Close()
	})
	ts.Setenv(args[0], hs.Listener.Addr().String())
}

// certificate CERT KEY: files for a server at 127.0.0.1.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writeCertificate(ts.MkAbs(args[0]), ts.MkAbs(args[1]), 1))
}

func writeCertificate(certFile, keyFile string, serial int64) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter:     time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert},
		keyFile:  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// lines FILE N TEXT: a file of N lines, each TEXT with its number for %; or
// one line with N times x for @.
func lines(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	var b strings.Builder
	if strings.Contains(args[2], "@") {
		b.WriteString(strings.ReplaceAll(args[2], "@", strings.Repeat("x", n)) + "\n")
	} else {
		for i := range n {
			b.WriteString(strings.ReplaceAll(args[2], "%", strconv.Itoa(i+1)) + "\n")
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o666))
}

func processes(ts *testscript.TestScript) map[string]*process {
	return ts.Value("processes").(map[string]*process)
}

func lookup(ts *testscript.TestScript, name string) *process {
	p := processes(ts)[name]
	if p == nil {
		ts.Fatalf("no process %s", name)
	}
	return p
}

func (p *process) output() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String(), p.more
}

type writer struct {
	p   *process
	own *bytes.Buffer
}

func (w writer) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.own.Write(b)
	w.p.all.Write(b)
	close(w.p.more)
	w.p.more = make(chan struct{})
	return len(b), nil
}
