//go:build interop

package interop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A server is one of any make, on one address of this machine. It can be ended
// and started again there.
type server struct {
	argv func(host, port string) []string
	path string
	log  io.Writer

	port  string
	cmd   *exec.Cmd
	ended chan struct{}
}

// URL uses a name, not an address: some clients keep no cookies for those.
func (s *server) URL() string { return "http://localhost:" + s.port + s.path }

// Start runs the server and returns when it listens.
func (s *server) Start() error {
	if s.port == "" {
		s.port = port()
	}
	argv := s.argv("127.0.0.1", s.port)
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Dir = "peers"
	s.cmd.Stderr = s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that panics leaves none behind
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("interop: %w (run interop/install)", err)
	}
	listens := make(chan struct{})
	s.ended = make(chan struct{})
	go s.follow(out, listens)
	select {
	case <-listens:
		return nil
	case <-s.ended:
		return fmt.Errorf("interop: %s ended before it listened", argv[0])
	case <-time.After(20 * time.Second):
		s.End(syscall.SIGKILL)
		return fmt.Errorf("interop: %s did not listen in 20s", argv[0])
	}
}

// follow reads the server's output until it ends.
func (s *server) follow(out io.Reader, listens chan struct{}) {
	defer close(s.ended)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "listening on ") {
			close(listens)
		}
		fmt.Fprintln(s.log, lines.Text())
	}
	s.cmd.Wait()
}

// End sends the signal and waits until the server has gone, whatever that takes.
func (s *server) End(signal os.Signal) error {
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(20 * time.Second):
		s.cmd.Process.Kill()
		<-s.ended
		return fmt.Errorf("interop: the server ignored %v for 20s", signal)
	}
}

// port finds one that is free, below those that the kernel gives to outgoing
// connections: it must still be free when the server starts for a second time.
func port() string {
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr[len("127.0.0.1:"):]
		}
	}
}
