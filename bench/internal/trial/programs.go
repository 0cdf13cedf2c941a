package trial

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/gocometd/cometd/bench/internal/certificate"
)

// Programs are this module's own, built for a trial.
type Programs struct {
	dir           string
	load, consume string
	hubs, cometd  string
	certFile, key string
	profiles      string // where cometd serve answers who asks for profiles
}

// Build builds them from the module that the current folder is in. Remove ends
// their use.
func Build() (*Programs, error) {
	dir, err := os.MkdirTemp("", "trial")
	if err != nil {
		return nil, err
	}
	p := &Programs{dir: dir, load: filepath.Join(dir, "load"), consume: filepath.Join(dir, "consume"),
		hubs: filepath.Join(dir, "hubs"), cometd: filepath.Join(dir, "cometd")}
	p.certFile, p.key, err = certificate.Write(dir)
	if err != nil {
		p.Remove()
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		p.Remove()
		return nil, err
	}
	p.profiles = net.JoinHostPort("127.0.0.1", port)
	const module = "github.com/gocometd/cometd/"
	build := exec.Command("go", "build", "-o", dir, module+"bench/load", module+"bench/consume", module+"bench/hubs", module+"cmd/cometd")
	if said, err := build.CombinedOutput(); err != nil {
		p.Remove()
		return nil, fmt.Errorf("%w: %s", err, said)
	}
	return p, nil
}

// Remove deletes them.
func (p *Programs) Remove() { os.RemoveAll(p.dir) }

// Floor is the hub whose figures others are compared with: a queue per session,
// all of it in one write.
func (p *Programs) Floor() Server {
	return Server{
		Name: "floor", Proto: "hub", Path: "/",
		Argv: func(w Workload, host, port string) []string {
			argv := []string{p.hubs, "-addr", host + ":" + port, "-lib", "raw", "-opt", "qarray"}
			if w.Secure {
				argv = append(argv, "-tls")
			}
			return argv
		},
		Without: func(w Workload) bool { return w.Polling },
	}
}

// Client is this module's client in ClientWorkloads: the server that it has is
// Ours, or one that only sends what is ready.
func (p *Programs) Client() Server {
	ours := p.Ours()
	return Server{
		Name: "gocometd's client", Path: ours.Path,
		Argv: func(w Workload, host, port string) []string {
			if w.InFrame == 0 {
				return ours.Argv(w, host, port)
			}
			return []string{p.hubs, "-addr", host + ":" + port, "-blast", strconv.Itoa(w.InFrame)}
		},
	}
}

// Ours is cometd serve, with its limit of connections from one address off.
func (p *Programs) Ours() Server {
	return Server{
		Name: "gocometd", Path: "/cometd", Profiles: p.profiles,
		Argv: func(w Workload, host, port string) []string {
			argv := []string{p.cometd, "serve", "--listen", host + ":" + port, "--max-per-address=-1"}
			if w.Secure {
				argv = append(argv, "--tls-cert", p.certFile, "--tls-key", p.key)
			}
			if w.Collect {
				argv = append(argv, "--pprof", p.profiles)
			}
			return argv
		},
	}
}
