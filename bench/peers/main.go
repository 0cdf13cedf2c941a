// Command peers puts the same loads on other servers and on this one, in turn
// and each on a core of its own, and prints what a message costs each:
//
//	interop/install                         # CometD Java and Node.js, Faye, axum-cometd, by their package clients
//	go run ./bench/peers                    # from the top folder of the module; half an hour
//	go run ./bench/peers -only scale        # by the number of subscribers and of channels
//	go run ./bench/peers -only 'window 16' -servers Java -rounds 1 # and this one
//
// One that is not installed is left out, and stderr says so, unless -servers asks
// for it.
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
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/gocometd/cometd/bench/internal/trial"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often everything is measured")
	only := flag.String("only", "", "run the workloads whose names match this regular expression")
	names := flag.String("servers", "", "of the others, run those whose names match this regular expression, and fail where one is not installed")
	dur := flag.Duration("dur", 5*time.Second, "measured time of a workload")
	file := flag.String("json", "", "write all figures to this file, too")
	plots := flag.String("plots", "", "draw the figures, too: SVG files in this folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, settings{*rounds, *only, *names, *file, *plots, *dur}); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	rounds                   int
	only, names, file, plots string
	dur                      time.Duration
}

func run(ctx context.Context, s settings) error {
	workloads, err := trial.Matching(trial.Workloads(s.dur), s.only)
	if err != nil {
		return err
	}
	cores, err := trial.NewCores(1)
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

	others, err := available(ctx, os.Stderr, peers(dir), s.names)
	if err != nil {
		return err
	}
	servers := append([]trial.Server{programs.Floor(), programs.Ours()}, others...) // the first two are what the others are compared with
	t := &trial.Trial{Programs: programs, Servers: servers, Workloads: workloads, Rounds: s.rounds, Cores: cores, Log: os.Stderr}
	all, failed := t.Run(ctx)
	if s.plots != "" {
		failed = errors.Join(failed, trial.Pictures{Dir: s.plots, Prefix: "peers-", Only: s.only}.Draw(t, all))
	}
	return errors.Join(failed, trial.WriteJSON(s.file, all), trial.WriteAll(os.Stdout, t, all))
}

// available are the servers whose names match and that can be started. Without a
// pattern those that cannot are left out, with a word about it.
func available(ctx context.Context, log io.Writer, all []peer, names string) (servers []trial.Server, err error) {
	wanted, err := regexp.Compile(names)
	if err != nil {
		return nil, err
	}
	for _, peer := range all {
		if !wanted.MatchString(peer.Name) {
			continue
		}
		err := peer.make(ctx)
		switch {
		case err == nil:
			servers = append(servers, peer.Server)
		case names != "":
			return nil, fmt.Errorf("%s: %w", peer.Name, err)
		default:
			fmt.Fprintf(log, "without %s: %v\n", peer.Name, err)
		}
	}
	return servers, nil
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
