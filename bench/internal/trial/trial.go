package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
)

// A Trial is servers under workloads, so many rounds of it.
type Trial struct {
	Programs  *Programs
	Servers   []Server
	Workloads []Workload
	Rounds    int
	Cores     Cores
	Log       io.Writer // told every figure as it comes
}

// Figures are what a load has printed.
type Figures map[string]any

// Of is a figure, 0 where there is none.
func (f Figures) Of(key string) float64 {
	n, _ := f[key].(float64)
	return n
}

// A Result is all figures of one server under one workload, a round each.
type Result struct {
	Server, Workload string
	Rounds           []Figures
}

// Run runs everything. A measurement fails if a message was lost or out of order,
// or the server let go of a session; it goes on with the next then, and the error
// says in the end what is missing in the results.
func (t *Trial) Run(ctx context.Context) (all []*Result, failed error) {
	for round := range t.Rounds {
		for _, w := range t.Workloads {
			for _, s := range t.Servers {
				if !s.can(w) || ctx.Err() != nil {
					continue
				}
				f, err := t.measure(ctx, s, w)
				if err != nil {
					err = fmt.Errorf("round %d, %s, %s: %w", round+1, w.Name, s.Name, err)
					failed = errors.Join(failed, err)
					fmt.Fprintln(t.Log, err)
					continue
				}
				all = add(all, s, w, f)
				fmt.Fprintf(t.Log, "round %d  %-42s %-18s %s\n", round+1, w.Name, s.Name, w.line(f))
			}
		}
	}
	return all, failed
}

// WriteJSON writes all figures to a file; no name, no file.
func WriteJSON(file string, all []*Result) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// add adds the figures of a round to the results.
func add(all []*Result, s Server, w Workload, f Figures) []*Result {
	for _, r := range all {
		if r.Server == s.Name && r.Workload == w.Name {
			r.Rounds = append(r.Rounds, f)
			return all
		}
	}
	return append(all, &Result{Server: s.Name, Workload: w.Name, Rounds: []Figures{f}})
}

// line is the figures on one line.
func (w Workload) line(f Figures) string {
	text := fmt.Sprintf("%s=%.3g", w.Figure, f.Of(w.Figure))
	for _, key := range w.Beside {
		text += fmt.Sprintf(" %s=%.4g", key, f.Of(key))
	}
	return text
}

// measure starts the server, puts the load on it, and ends it.
func (t *Trial) measure(ctx context.Context, s Server, w Workload) (Figures, error) {
	p, err := s.start(ctx, w, t.Cores)
	if err != nil {
		return nil, err
	}
	defer p.end()
	argv := append([]string{w.program(t.Programs), "-url", w.url(s, p.addr), "-pid", strconv.Itoa(p.cmd.Process.Pid), "-name", s.Name}, w.Flags...)
	if !w.Client {
		argv = append(argv, "-cpu", strconv.Itoa(t.Cores.first))
	}
	if w.Collect && s.Profiles != "" {
		argv = append(argv, "-collect", "http://"+s.Profiles+"/debug/pprof/heap?gc=1")
	}
	if s.Proto != "" {
		argv = append(argv, "-proto", s.Proto)
	}
	if s.Warm > 0 {
		argv = append(argv, "-warm", s.Warm.String())
	}
	argv = t.Cores.pin(t.Cores.load, append(argv, s.Load...))
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	var f Figures
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		return nil, fmt.Errorf("the load printed %q: %w", out.Bytes(), err)
	}
	if f.Of(w.Figure) <= 0 { // nothing would be the best of all
		return nil, fmt.Errorf("%s is %v", w.Figure, f[w.Figure])
	}
	if f.Of("loss") != 0 || f.Of("disorder") != 0 {
		return nil, fmt.Errorf("%v lost, %v out of order", f.Of("loss"), f.Of("disorder"))
	}
	return f, nil
}
