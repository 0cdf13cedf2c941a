package trial

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Cores are where the server and the load run.
type Cores struct {
	Procs        int    // GOMAXPROCS of the server
	server, load string // as taskset takes them; none: nothing is pinned
	first        int    // of the server's
}

// NewCores gives a server the first procs of the cores that this process may use,
// and the load the next. Where there are no more, nothing is pinned: the load
// spins on one of them.
func NewCores(procs int) (Cores, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return Cores{}, fmt.Errorf("cores are told by Linux only: %w", err)
	}
	allowed, err := allowedCores(string(status))
	if err != nil {
		return Cores{}, err
	}
	c, err := newCores(procs, allowed)
	if err != nil || c.server == "" {
		return c, err
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		return c, errors.New("there is no taskset (Linux, util-linux) to pin a process to a core")
	}
	return c, nil
}

func newCores(procs int, allowed []int) (Cores, error) {
	if procs < 1 {
		return Cores{}, fmt.Errorf("GOMAXPROCS is %d, want 1 or more", procs)
	}
	c := Cores{Procs: procs, first: allowed[0]}
	if procs >= len(allowed) {
		return c, nil
	}
	var server []string
	for _, core := range allowed[:procs] {
		server = append(server, strconv.Itoa(core))
	}
	c.server, c.load = strings.Join(server, ","), strconv.Itoa(allowed[procs])
	return c, nil
}

// allowedCores reads which cores a process may use, from its /proc/PID/status.
func allowedCores(status string) (cores []int, err error) {
	_, list, _ := strings.Cut(status, "\nCpus_allowed_list:")
	list, _, _ = strings.Cut(strings.TrimSpace(list), "\n")
	for span := range strings.SplitSeq(list, ",") {
		from, to, ok := strings.Cut(span, "-")
		if !ok {
			to = from
		}
		first, err := strconv.Atoi(from)
		if err != nil {
			return nil, fmt.Errorf("cores of this process: %q: %w", list, err)
		}
		last, err := strconv.Atoi(to)
		if err != nil {
			return nil, fmt.Errorf("cores of this process: %q: %w", list, err)
		}
		for core := first; core <= last; core++ {
			cores = append(cores, core)
		}
	}
	return cores, nil
}

func (c Cores) pin(cores string, argv []string) []string {
	if cores == "" {
		return argv
	}
	return append([]string{"taskset", "-c", cores}, argv...)
}

// String says it as the head of a table does.
func (c Cores) String() string {
	if c.server == "" {
		return fmt.Sprintf("GOMAXPROCS=%d, not pinned", c.Procs)
	}
	return fmt.Sprintf("GOMAXPROCS=%d, the server on core %s, the load on core %s", c.Procs, c.server, c.load)
}
