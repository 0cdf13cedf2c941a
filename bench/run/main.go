// Command run measures this server beside the floor, workload by workload, in
// turn and each on a core of its own, and prints best, median and ratio:
//
//	go run ./bench/run                             # three rounds, some six minutes
//	go run ./bench/run -rounds 5 -only '10,000'    # the workloads whose names match
//	go run ./bench/run -procs 2                    # the server with two cores
//	go run ./bench/run -only 'after a GC'          # idle memory once the runtime has collected by itself
//
// It needs Linux, two cores that nothing else uses, and taskset. Every figure is
// printed as it comes, on stderr; the table is Markdown, on stdout. The exit
// status is 1 if a message was lost or out of order. Package bench/load says
// what the figures mean.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/gocometd/cometd/bench/internal/trial"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often everything is measured")
	only := flag.String("only", "", "run the workloads whose names match this regular expression")
	dur := flag.Duration("dur", 5*time.Second, "measured time of a workload")
	procs := flag.Int("procs", 1, "GOMAXPROCS of the servers")
	file := flag.String("json", "", "write all figures to this file, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *rounds, *only, *dur, *procs, *file); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, only string, dur time.Duration, procs int, file string) error {
	workloads, err := trial.Matching(trial.Workloads(dur), only)
	if err != nil {
		return err
	}
	cores, err := trial.NewCores(procs, runtime.NumCPU())
	if err != nil {
		return err
	}
	programs, err := trial.Build()
	if err != nil {
		return err
	}
	defer programs.Remove()
	t := &trial.Trial{Load: programs.Load, Servers: []trial.Server{programs.Floor(), programs.Ours()},
		Workloads: workloads, Rounds: rounds, Cores: cores, Log: os.Stderr}
	fmt.Fprintf(os.Stderr, "%v\n", cores)
	all, err := t.Run(ctx)
	if err != nil {
		return err
	}
	if file != "" {
		text, err := json.MarshalIndent(all, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
	}
	return trial.Write(os.Stdout, t, all)
}
