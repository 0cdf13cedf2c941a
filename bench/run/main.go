// Command run measures this server beside the floor, workload by workload, in
// turn and each on a core of its own, and prints best, median and ratio:
//
//	go run ./bench/run                                # three rounds, some eight minutes
//	go run ./bench/run -rounds 5 -only '10,000'       # the workloads whose names match
//	go run ./bench/run -procs 2                       # the server with two cores
//	go run ./bench/run -only scale -plots docs/plots  # by the number of subscribers and of channels
//	go run ./bench/run -client                        # this module's client, alone on its core
//	go run ./bench/run -only idle                     # memory of idle sessions, also after a collection
//	go run ./bench/run -codec                         # no server: the codec beside encoding/json and goccy/go-json
//
// It needs Linux, two cores that nothing else uses, and taskset. Every figure is
// printed as it comes, on stderr; the table is Markdown, on stdout, and below it the
// figures of every round. The exit status is 1 if a message was lost or out of order
// in any; what was measured then is without that. Packages bench/load and
// bench/consume say what the figures mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gocometd/cometd/bench/internal/trial"
)

// settings are the flags.
type settings struct {
	rounds, procs     int
	only, file, plots string
	dur               time.Duration
	client, codec     bool
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 3, "how often everything is measured")
	flag.StringVar(&s.only, "only", "", "run the workloads whose names match this regular expression")
	flag.DurationVar(&s.dur, "dur", 5*time.Second, "measured time of a workload")
	flag.IntVar(&s.procs, "procs", 1, "GOMAXPROCS of the servers")
	flag.BoolVar(&s.client, "client", false, "measure this module's client in place of its server")
	flag.BoolVar(&s.codec, "codec", false, "measure the codec by the benchmarks of package bench; -only, -dur, -procs and -plots do not count")
	flag.StringVar(&s.file, "json", "", "write all figures to this file, too")
	flag.StringVar(&s.plots, "plots", "", "draw the figures, too: SVG files in this folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if s.codec {
		return measureCodec(ctx, s.rounds, s.file)
	}
	offered := trial.Workloads(s.dur)
	if s.client {
		offered = trial.ClientWorkloads(s.dur)
	}
	workloads, err := trial.Matching(offered, s.only)
	if err != nil {
		return err
	}
	if s.procs > 1 {
		workloads = trial.OnCores(workloads)
	}
	cores, err := trial.NewCores(s.procs)
	if err != nil {
		return err
	}
	programs, err := trial.Build()
	if err != nil {
		return err
	}
	defer programs.Remove()
	t := &trial.Trial{Programs: programs, Servers: []trial.Server{programs.Floor(), programs.Ours()},
		Workloads: workloads, Rounds: s.rounds, Cores: cores, Log: os.Stderr}
	if s.client {
		t.Servers = []trial.Server{programs.Client()}
	}
	fmt.Fprintf(os.Stderr, "%v\n", cores)
	all, failed := t.Run(ctx)
	return errors.Join(failed, trial.WriteJSON(s.file, all), s.draw(t, all), trial.WriteAll(os.Stdout, t, all))
}

// draw draws the figures, if that was asked for.
func (s settings) draw(t *trial.Trial, all []*trial.Result) error {
	if s.plots == "" {
		return nil
	}
	to := trial.Pictures{Dir: s.plots, Only: s.only}
	if s.client {
		to.Prefix = "client-"
	}
	if s.procs > 1 {
		to.Prefix += fmt.Sprintf("%d-cores-", s.procs)
	}
	return to.Draw(t, all)
}
