package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/gocometd/cometd/bench/internal/trial"
)

// A ratio is how many times as fast as encoding/json and as goccy/go-json the codec
// is, or is to be.
type ratio struct{ std, goccy float64 }

// codecGoals are what the codec was built to reach, by benchmark.
var codecGoals = map[string]ratio{
	"decode pub1": {13, 1.9}, "decode connect": {14, 2.2},
	"decode chat10": {10, 1.5}, "decode tick10": {10, 1.5}, "decode deliver10": {10, 1.5}, "decode mixed100": {10, 1.5},
	"decode event10": {9, 1.25}, "decode uni10": {9, 1.25}, "decode ext10": {9, 1.25},
	"decode json100k": {11, 1.2}, "decode text100k": {35, 2.5},
	"encode deliver1": {35, 5}, "encode deliver10": {35, 5}, "encode deliver100k": {100, 20}, "encode replies10": {8, 2.3},
	"client chat": {7.5, 1.4}, "client tick": {7.5, 1.4},
}

// measureCodec runs the benchmarks of the codec, so many rounds of them one after
// the other, and prints a table of medians.
func measureCodec(ctx context.Context, rounds int, file string) error {
	var all []*trial.Result
	for range rounds {
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(Decode|Encode|Client)$",
			"-benchmem", "-benchtime", "200ms", "-cpu", "1", "github.com/gocometd/cometd/bench")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, os.Stderr), os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go test: %w", err)
		}
		for line := range strings.Lines(out.String()) {
			all = addCodec(all, line)
		}
	}
	return errors.Join(trial.WriteJSON(file, all), writeCodec(os.Stdout, all))
}

// addCodec adds the figures of a line such as
//
//	BenchmarkDecode/pub1/ours  111571  141.2 ns/op  1510.71 MB/s  0 B/op  0 allocs/op
//
// if it is one: whose they are is the last part of the name.
func addCodec(all []*trial.Result, line string) []*trial.Result {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return all
	}
	parts := strings.Split(strings.TrimPrefix(fields[0], "Benchmark"), "/")
	if len(parts) != 3 {
		return all
	}
	figures := trial.Figures{}
	for i := 2; i+1 < len(fields); i += 2 {
		n, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return all
		}
		figures[fields[i+1]] = n
	}
	what := strings.ToLower(parts[0]) + " " + parts[1]
	for _, r := range all {
		if r.Workload == what && r.Server == parts[2] {
			r.Rounds = append(r.Rounds, figures)
			return all
		}
	}
	return append(all, &trial.Result{Server: parts[2], Workload: what, Rounds: []trial.Figures{figures}})
}

// writeCodec writes the table, and below it the time of every round. A ratio is the
// median of the rounds' own: what else the machine does changes all of a round.
func writeCodec(out io.Writer, all []*trial.Result) error {
	t := &trial.Trial{Servers: []trial.Server{{Name: "ours"}, {Name: "std"}, {Name: "goccy"}}}
	var b strings.Builder
	b.WriteString("| | ours, ns | GB/s | allocations | times as fast as encoding/json | as goccy | goals |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range all {
		if r.Server != "ours" {
			continue
		}
		t.Workloads = append(t.Workloads, trial.Workload{Name: r.Workload, Figure: "ns/op", Unit: "ns"})
		ns := figuresOf(all, "ours", r.Workload, "ns/op")
		goals := ""
		if g, ok := codecGoals[r.Workload]; ok {
			goals = fmt.Sprintf("%g, %g", g.std, g.goccy)
		}
		fmt.Fprintf(&b, "| %s | %.0f | %.2f | %.0f | %.1f | %.2f | %s |\n", r.Workload, median(ns),
			median(figuresOf(all, "ours", r.Workload, "MB/s"))/1000, median(figuresOf(all, "ours", r.Workload, "allocs/op")),
			median(over(figuresOf(all, "std", r.Workload, "ns/op"), ns)), median(over(figuresOf(all, "goccy", r.Workload, "ns/op"), ns)), goals)
	}
	if len(t.Workloads) == 0 {
		return errors.New("go test has printed no benchmark of the codec")
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return err
	}
	return trial.WriteRounds(out, t, all)
}

// figuresOf are a figure's of all rounds.
func figuresOf(all []*trial.Result, whose, what, key string) (of []float64) {
	for _, r := range all {
		if r.Server == whose && r.Workload == what {
			for _, f := range r.Rounds {
				of = append(of, f.Of(key))
			}
		}
	}
	return of
}

// over divides round by round.
func over(theirs, ours []float64) (ratios []float64) {
	for i := range min(len(theirs), len(ours)) {
		ratios = append(ratios, theirs[i]/ours[i])
	}
	return ratios
}

// median is 0 of nothing.
func median(of []float64) float64 {
	n := len(of)
	if n == 0 {
		return 0
	}
	of = slices.Sorted(slices.Values(of))
	return (of[(n-1)/2] + of[n/2]) / 2
}
