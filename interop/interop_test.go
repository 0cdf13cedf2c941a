//go:build interop

package interop

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var (
	control = flag.Bool("control", false, "run the peers against each other, without our client and server")
	write   = flag.Bool("write", false, "write the table into the documents that show it")
)

// ourBinary is the command line tool, built for this run.
var ourBinary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ourBinary = filepath.Join(dir, "cometd")
	build := exec.Command("go", "build", raced(), "-o", ourBinary, "github.com/gocometd/cometd/cmd/cometd")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil && !*control {
		fmt.Println("interop: cannot build cmd/cometd:", err)
		return 1
	}
	code := m.Run()
	if chromium.close != nil {
		chromium.close()
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println(err)
		return 1
	}
	return code
}

// raced is the flag of the build under test that looks for data races.
func raced() string {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return "-race"
	}
	return "-race=false"
}

// Every peer works with us, in both directions, on every transport it has.
func TestPeers(t *testing.T) {
	rows := cells()
	if *control {
		rows = controls()
	}
	var done table
	for _, s := range scenarios {
		done.columns = append(done.columns, s.name)
	}
	for _, c := range rows {
		name := strings.Join([]string{c.client, c.server, c.transport}, "/")
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { done.add(c.client, c.server, c.transport, c.not, c.try(t)) })
	}
	fmt.Printf("\n%s\n", done.markdown())
	if !*control && len(done.rows) == len(rows) {
		t.Run("documents", func(t *testing.T) {
			checkDocuments(t, "interop table", done.markdown())
			checkDocuments(t, "interop summary", done.summary())
		})
	}
}

// try runs the scenarios and returns which the cell has passed.
func (c cell) try(t *testing.T) (passed map[string]bool) {
	passed = map[string]bool{}
	r := &run{cell: c, server: c.serve(t.Output())}
	require.NoError(t, r.server.Start())
	defer r.server.End(syscall.SIGKILL)

	var err error
	r.p, err = c.open(t.Output(), r.server.URL())
	require.NoError(t, err)
	defer func() { r.p.Close() }()
	r.other, err = c.other(t.Output(), r.server.URL())
	require.NoError(t, err)
	defer func() { r.other.Close() }()

	for _, s := range scenarios {
		if !c.can(s.name) {
			continue
		}
		passed[s.name] = t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) { r.scenario(t, s) })
		if !passed["handshake"] {
			break
		}
	}
	return passed
}

// scenarioTime is enough for the slowest peer to come back after a restart.
const scenarioTime = 45 * time.Second

func (r *run) scenario(t *testing.T, s scenario) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), scenarioTime, errors.New("the scenario's time is up"))
	defer cancel()
	r.ctx = ctx
	s.run(r, t)
	if t.Failed() {
		r.p.Discard()
		r.other.Discard()
	}
}
