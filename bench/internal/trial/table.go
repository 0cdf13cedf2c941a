package trial

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Write writes the results as a Markdown table: best and median of each
// workload's figure for each server. Behind each server but the first stands
// the ratio of its best to the first's, which is the floor. How many messages a
// frame had, what it cost, and how busy the server was, is told of the round with
// the best figure, and not as a best of its own: none is good or bad by itself.
func Write(out io.Writer, t *Trial, all []*Result) error {
	head := "| workload |"
	rule := "|---|"
	for i, s := range t.Servers {
		head, rule = head+" "+s.Name+": best / median |", rule+"--:|"
		if i > 0 {
			head, rule = head+" ratio |", rule+"--:|"
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s goal |\n%s--:|\n", head, rule)
	for _, w := range t.Workloads {
		row(&b, t, w, w.Figure, w.Name+", "+w.Unit, w.goal(), all)
		for i, key := range w.Beside {
			goal := ""
			if i == 0 && w.BesideRatio > 0 {
				goal = timesFloor(w.BesideRatio)
			}
			row(&b, t, w, key, "— "+key, goal, all)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// WriteAll is Write and, below the table, WriteRounds.
func WriteAll(out io.Writer, t *Trial, all []*Result) error {
	return errors.Join(Write(out, t, all), WriteRounds(out, t, all))
}

// WriteRounds writes what Write has summed up: the figures of every round, in the
// order in which they were taken, as Markdown that is folded.
func WriteRounds(out io.Writer, t *Trial, all []*Result) error {
	var b strings.Builder
	b.WriteString("\n<details><summary>every round</summary>\n\n| workload |")
	for _, s := range t.Servers {
		fmt.Fprintf(&b, " %s |", s.Name)
	}
	fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("---|", len(t.Servers)))
	for _, w := range t.Workloads {
		rounds(&b, t, w, w.Figure, w.Name+", "+w.Unit, all)
		for _, key := range w.Beside {
			rounds(&b, t, w, key, "— "+key, all)
		}
	}
	b.WriteString("\n</details>\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func rounds(b *strings.Builder, t *Trial, w Workload, key, title string, all []*Result) {
	fmt.Fprintf(b, "| %s |", title)
	for _, s := range t.Servers {
		for _, r := range all {
			if r.Server != s.Name || r.Workload != w.Name {
				continue
			}
			for _, f := range r.Rounds {
				b.WriteString(" " + figure(f.Of(key)))
			}
		}
		b.WriteString(" |")
	}
	b.WriteByte('\n')
}

func (w Workload) goal() string {
	switch {
	case w.GoalRatio > 0:
		return timesFloor(w.GoalRatio)
	case w.Goal == 0:
		return ""
	case moreIsBetter(w.Figure):
		return fmt.Sprintf("≥ %.0f", w.Goal)
	}
	return fmt.Sprintf("≤ %g", w.Goal)
}

func timesFloor(ratio float64) string { return fmt.Sprintf("≤ %g × floor", ratio) }

func row(b *strings.Builder, t *Trial, w Workload, key, title, goal string, all []*Result) {
	fmt.Fprintf(b, "| %s |", title)
	floor := 0.0
	for i, s := range t.Servers {
		best, median, ok := summary(all, s.Name, w.Name, key)
		if ok && slices.Contains([]string{"msgs_frame", "frame_us", "busy"}, key) {
			best = w.beside(all, s.Name, key)
		}
		cells := []string{"", ""}
		if ok {
			cells[0] = fmt.Sprintf("%s / %s", figure(best), figure(median))
		}
		if i == 0 {
			floor = best
			cells = cells[:1]
		} else if ok && floor > 0 && !w.FloorIsLess {
			cells[1] = fmt.Sprintf("%.2f", best/floor)
		}
		fmt.Fprintf(b, " %s |", strings.Join(cells, " | "))
	}
	fmt.Fprintf(b, " %s |\n", goal)
}

// summary is the least and the median of a figure; of those where more is
// better, the most.
func summary(all []*Result, server, workload, key string) (best, median float64, ok bool) {
	for _, r := range all {
		if r.Server != server || r.Workload != workload {
			continue
		}
		var of []float64
		for _, f := range r.Rounds {
			of = append(of, f.Of(key))
		}
		slices.Sort(of)
		if moreIsBetter(key) {
			slices.Reverse(of)
		}
		return of[0], middle(of), true
	}
	return 0, 0, false
}

// beside is the figure of the round in which the workload's own was best.
func (w Workload) beside(all []*Result, server, key string) (figure float64) {
	best, _, _ := summary(all, server, w.Name, w.Figure)
	for _, r := range all {
		if r.Server != server || r.Workload != w.Name {
			continue
		}
		for _, f := range r.Rounds {
			if f.Of(w.Figure) == best {
				return f.Of(key)
			}
		}
	}
	return 0
}

func moreIsBetter(key string) bool { return key == "sessions_s" || key == "msgs_s" }

func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// figure has three digits, as many as mean something.
func figure(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
