// Command peers puts the same loads on other servers and on this one, in turn
// and each on a core of its own, and prints what a message costs each:
//
//	interop/install                         # CometD Java and Node.js, Faye, axum-cometd, by their package clients
//	go run ./bench/peers                    # from the top folder of the module; half an hour
//	go run ./bench/peers -only scale        # by the number of subscribers and of channels
//	go run ./bench/peers -only 'window 16' -servers Java -rounds 1 # and this one
//
// The Bayeux servers are those of the interop tests, with their defaults, and
// all that their runtimes like to do by themselves (a JVM gets ten seconds to
// warm up). centrifuge is no Bayeux server, but what a Go program would use
// instead; it has a module of its own in a folder here. The first column is the
// floor. Package bench/load says what the figures mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"github.com/gocometd/cometd/bench/internal/trial"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often everything is measured")
	only := flag.String("only", "", "run the workloads whose names match this regular expression")
	names := flag.String("servers", "", "of the others, run those whose names match this regular expression")
	dur := flag.Duration("dur", 5*time.Second, "measured time of a workload")
	plots := flag.String("plots", "", "draw the figures, too: SVG files in this folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *rounds, *only, *names, *dur, *plots); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, only, names string, dur time.Duration, plots string) error {
	workloads, err := trial.Matching(trial.Workloads(dur), only)
	if err != nil {
		return err
	}
	wanted, err := regexp.Compile(names)
	if err != nil {
		return err
	}
	cores, err := trial.NewCores(1, runtime.NumCPU())
	if err != nil {
		return err
	}
	programs, err := trial.Build()
	if err != nil {
		return err
	}
	defer programs.Remove()
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	servers := []trial.Server{programs.Floor(), programs.Ours()} // with which the others are compared
	for _, peer := range peers(dir) {
		if !wanted.MatchString(peer.Name) {
			continue
		}
		if err := peer.make(ctx); err != nil {
			return fmt.Errorf("%s: %w", peer.Name, err)
		}
		servers = append(servers, peer.Server)
	}
	t := &trial.Trial{Programs: programs, Servers: servers, Workloads: workloads, Rounds: rounds, Cores: cores, Log: os.Stderr}
	all, failed := t.Run(ctx)
	if plots != "" {
		failed = errors.Join(failed, trial.Draw(plots, "peers-", t, all))
	}
	return errors.Join(failed, trial.Write(os.Stdout, t, all))
}

// build runs a builder in dir.
func build(dir string, argv ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	}
}

// installed is for what interop/install has made.
func installed(file string) func(context.Context) error {
	return func(context.Context) error {
		if _, err := os.Stat(filepath.Join(interop, file)); err != nil {
			return fmt.Errorf("%w (run interop/install, and this from the top folder of the module)", err)
		}
		return nil
	}
}
