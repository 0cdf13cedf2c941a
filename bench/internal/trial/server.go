package trial

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"time"
)

// A Server can be started.
type Server struct {
	Name string

	// Argv is the command line that makes it listen on host and port.
	// It prints a line "listening on …" or "ready …" when it does.
	Argv  func(w Workload, host, port string) []string
	Dir   string        // where it is started
	Proto string        // the load's -proto; default bayeux
	Path  string        // of its URL
	Load  []string      // more flags for the load
	Warm  time.Duration // how long it needs before it is as fast as it gets; default 2s

	// Profiles is where it answers who asks for profiles, HOST:PORT, under a Workload
	// that has it Collect; empty: nowhere.
	Profiles string

	// Without says which workloads it cannot do.
	Without func(w Workload) bool
}

func (s Server) can(w Workload) bool { return s.Without == nil || !s.Without(w) }

// A process is a Server that listens.
type process struct {
	cmd   *exec.Cmd
	addr  string
	ended chan struct{}
}

var listens = regexp.MustCompile(`^(listening on|ready) `)

// start runs s and returns when it listens.
func (s Server) start(ctx context.Context, w Workload, c Cores) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	const host = "127.0.0.1"
	p := &process{addr: net.JoinHostPort(host, port), ended: make(chan struct{})}
	argv := c.pin(c.server, s.Argv(w, host, port))
	p.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	p.cmd.Dir = s.Dir
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", c.Procs))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(p.ended)
		p.read(out, ready)
		_ = p.cmd.Wait() // it was ended, or its stderr says why it did
	}()
	return p, p.await(s.Name, ready)
}

// read takes all that the process prints, and closes ready when it says that it
// listens.
func (p *process) read(out io.Reader, ready chan<- struct{}) {
	var once sync.Once
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if listens.MatchString(lines.Text()) {
			once.Do(func() { close(ready) })
		}
	}
}

func (p *process) await(name string, ready <-chan struct{}) error {
	const patience = 30 * time.Second
	select {
	case <-ready:
		return nil
	case <-p.ended:
		return fmt.Errorf("%s: it ended before it listened", name)
	case <-time.After(patience):
		p.end()
		return fmt.Errorf("%s: it did not listen in %v", name, patience)
	}
}

// end ends the process, and waits for that.
func (p *process) end() {
	_ = p.cmd.Process.Signal(os.Interrupt) // or it has ended
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}
