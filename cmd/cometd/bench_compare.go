package main

import (
	"bytes"
	"fmt"
	"slices"
)

// A benchComparison says what stalled subscribers have changed for the others:
// runs without them, the control, and runs with them took turns.
type benchComparison struct {
	Clients     int           `json:"clients"`
	Stalled     int           `json:"stalled"`
	Control     benchSide     `json:"control"`
	WithStalled benchSide     `json:"with_stalled"`
	Fates       []stalledFate `json:"stalled_ended"` // of all runs, also those that were cut short
	benchFaults               // of all runs, too

	// Worse is the median p99 with stalled subscribers less that of the control,
	// in µs, and Spread the most that the control differs from itself. Within is
	// whether the one is no more than the other; of a single control it is absent.
	Worse  int64 `json:"p99_worse_us"`
	Spread int64 `json:"p99_control_spread_us"`
	Within *bool `json:"within_spread,omitempty"`
}

// A benchSide is of all whole runs of a kind.
type benchSide struct {
	Runs   int         `json:"runs"`
	P99    benchRange  `json:"p99_us"`
	Memory *benchRange `json:"server_rss,omitempty"` // the most in each run, in bytes
}

type benchRange struct {
	Least  int64 `json:"min"`
	Median int64 `json:"median"`
	Most   int64 `json:"max"`
}

// whole are the runs that can be compared: nothing cut them short, and something
// has arrived in them.
func whole(runs []*benchReport) (rs []*benchReport) {
	for _, r := range runs {
		if !r.cut && r.Delivered > 0 {
			rs = append(rs, r)
		}
	}
	return rs
}

// compare is of runs of both kinds. It is false if there is no whole one of either.
func compare(runs []*benchReport) (*benchComparison, bool) {
	var c benchComparison
	var control, stalled []*benchReport
	for _, r := range whole(runs) {
		if r.Stalled == 0 {
			control = append(control, r)
		} else {
			stalled = append(stalled, r)
			c.Stalled = r.Stalled
		}
	}
	if len(control) == 0 || len(stalled) == 0 {
		return nil, false
	}
	for _, r := range runs {
		c.Clients = r.Clients
		c.Fates = append(c.Fates, r.Fates...)
		c.Refused += r.Refused
		c.Lost, c.Disorder, c.Repeated = c.Lost+r.Lost, c.Disorder+r.Disorder, c.Repeated+r.Repeated
	}
	c.Control, c.WithStalled = sideOf(control), sideOf(stalled)
	c.Worse = c.WithStalled.P99.Median - c.Control.P99.Median
	c.Spread = c.Control.P99.Most - c.Control.P99.Least
	if c.Control.Runs > 1 {
		within := c.Worse <= c.Spread
		c.Within = &within
	}
	return &c, true
}

func sideOf(runs []*benchReport) benchSide {
	var p99, memory []int64
	for _, r := range runs {
		p99 = append(p99, r.Latency.P99)
		memory = append(memory, r.Memory)
	}
	s := benchSide{Runs: len(runs), P99: rangeOf(p99)}
	if m := rangeOf(memory); m.Most > 0 {
		s.Memory = &m
	}
	return s
}

func rangeOf(ns []int64) benchRange {
	slices.Sort(ns)
	n := len(ns)
	return benchRange{ns[0], (ns[(n-1)/2] + ns[n/2]) / 2, ns[n-1]}
}

func (c *benchComparison) text() []byte {
	var b bytes.Buffer
	with := fmt.Sprintf("%d stalled", c.Stalled)
	fmt.Fprintf(&b, "%s, %s with %s and %d without, in turn\n\n", counted(c.Clients, "client"), counted(c.WithStalled.Runs, "run"), with, c.Control.Runs)
	fmt.Fprintf(&b, "%-30s %10s %10s %10s\n", "", "least", "median", "most")
	row := func(what string, r benchRange, shown func(int64) string) {
		fmt.Fprintf(&b, "%-30s %10s %10s %10s\n", what, shown(r.Least), shown(r.Median), shown(r.Most))
	}
	latency := func(us int64) string { return micros(us).String() }
	row("p99, control", c.Control.P99, latency)
	row("p99, "+with, c.WithStalled.P99, latency)
	if c.Control.Memory != nil && c.WithStalled.Memory != nil {
		row("server's memory, control", *c.Control.Memory, mebibytes)
		row("server's memory, "+with, *c.WithStalled.Memory, mebibytes)
	}
	fmt.Fprintf(&b, "\np99         %s\nstalled     %s\n%s", c.verdict(), told(c.Fates), c.line())
	return b.Bytes()
}

// verdict compares medians, and takes for chance what the control differs from
// itself.
func (c *benchComparison) verdict() string {
	worse := fmt.Sprintf("%v worse than control", micros(c.Worse))
	if c.Worse <= 0 {
		worse = fmt.Sprintf("no worse than control, %v better", micros(-c.Worse))
	}
	switch {
	case c.Within == nil:
		return worse + "; a single run has no spread to judge that by"
	case *c.Within:
		return fmt.Sprintf("%s: within its spread of %v", worse, micros(c.Spread))
	}
	return fmt.Sprintf("%s: %v beyond its spread of %v", worse, micros(c.Worse-c.Spread), micros(c.Spread))
}
