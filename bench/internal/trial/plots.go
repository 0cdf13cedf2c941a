package trial

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gocometd/cometd/internal/plot"
)

// A Curve is a figure against the size of something, of workloads that differ in
// that alone.
type Curve struct {
	File, Title, Axis string
	Sizes             []int
	Workloads         []string // their names, for each size
}

// Curves are what the scale workloads are for.
func Curves() []Curve {
	sizes := []int{1, 10, 100, 1000}
	subscribers := Curve{File: "subscribers", Title: "cost of a delivery: one channel", Axis: "subscribers"}
	spread := Curve{File: "channels", Title: "cost of a delivery: 1000 subscribers in all", Axis: "channels, each with a publisher", Sizes: sizes}
	tens := Curve{File: "channels-of-10", Title: "cost of a delivery: 10 subscribers on each channel", Axis: "channels, each with a publisher", Sizes: sizes}
	for _, n := range sizes {
		subscribers.Sizes = append(subscribers.Sizes, 10*n)
		subscribers.Workloads = append(subscribers.Workloads, scaleName(1, 10*n))
		spread.Workloads = append(spread.Workloads, scaleName(n, 1000/n))
		tens.Workloads = append(tens.Workloads, scaleName(n, 10))
	}
	return []Curve{subscribers, spread, tens}
}

// Pictures are where a trial is drawn. Their names say what was measured, so that
// one trial does not take the place of another.
type Pictures struct {
	Dir    string // made if it is not there
	Prefix string // of the names: of what else than the servers with one core
	Only   string // the pattern that the workloads match; empty: all
}

// Draw writes pictures of the results: each Curve that was measured as a whole, and
// what else there is to compare as bars, in workloads.svg if it is all there is,
// else in workloads-ONLY.svg.
func (to Pictures) Draw(t *Trial, all []*Result) error {
	if err := os.MkdirAll(to.Dir, 0o777); err != nil {
		return err
	}
	var failed error
	write := func(name string, svg []byte) {
		failed = errors.Join(failed, os.WriteFile(filepath.Join(to.Dir, to.Prefix+name+".svg"), svg, 0o666))
	}
	drawn := map[string]bool{}
	for _, c := range Curves() {
		if series := c.series(t, all); len(series) > 0 {
			write(c.File, c.draw(t, series))
			for _, name := range c.Workloads {
				drawn[name] = true
			}
		}
	}
	if groups := bars(t, all, drawn); len(groups) > 0 {
		write("workloads"+to.only(), plot.Bars{Title: fmt.Sprintf("best of %d, %v", t.Rounds, t.Cores), Groups: groups}.SVG())
	}
	return failed
}

var noWord = regexp.MustCompile(`[^\pL\pN]+`)

// only is the pattern as a part of a file's name.
func (to Pictures) only() string {
	words := strings.Trim(noWord.ReplaceAllString(to.Only, "-"), "-")
	if words == "" {
		return ""
	}
	return "-" + words
}

// series are the servers of which the whole curve was measured.
func (c Curve) series(t *Trial, all []*Result) (lines []plot.Series) {
	for i, s := range t.Servers {
		line := plot.Series{Name: s.Name, Color: i, Dots: true}
		for at, name := range c.Workloads {
			if best, _, ok := summary(all, s.Name, name, "cpu_us"); ok {
				line.Points = append(line.Points, plot.Point{X: float64(c.Sizes[at]), Y: best})
			}
		}
		if len(line.Points) == len(c.Sizes) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (c Curve) draw(t *Trial, series []plot.Series) []byte {
	most := 0.0
	for _, s := range series {
		for _, p := range s.Points {
			most = max(most, p.Y)
		}
	}
	number := func(n float64) string { return fmt.Sprintf("%.0f", n) }
	x := plot.Decades(c.Axis, float64(c.Sizes[0]), float64(slices.Max(c.Sizes)), number)
	return plot.Lines{Title: fmt.Sprintf("%s, best of %d", c.Title, t.Rounds), X: x, Y: plot.FromZero("µs of the server's CPU", most), Series: series}.SVG()
}

// bars are the workloads that are not drawn yet.
func bars(t *Trial, all []*Result, drawn map[string]bool) (groups []plot.Group) {
	for _, w := range t.Workloads {
		if drawn[w.Name] {
			continue
		}
		g := plot.Group{Title: w.Name + ", " + w.Unit}
		for i, s := range t.Servers {
			if best, _, ok := summary(all, s.Name, w.Name, w.Figure); ok {
				g.Bars = append(g.Bars, plot.Bar{Name: s.Name, Label: figure(best), Value: best, Color: i})
			}
		}
		if len(g.Bars) > 1 || w.Goal > 0 && len(g.Bars) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}
