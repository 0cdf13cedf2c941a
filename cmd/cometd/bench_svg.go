package main

import (
	"fmt"
	"math"
	"os"

	"github.com/gocometd/cometd/internal/plot"
)

// A benchPicture is the file for a drawing: before a run that takes minutes it is
// certain that it can be written. It is nil where there is to be none.
type benchPicture struct{ file *os.File }

func openPicture(name string) (*benchPicture, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666) // what it has stays until there is another
	if err != nil {
		return nil, badUsage("--svg: %w", err)
	}
	return &benchPicture{file}, nil
}

// draw draws the runs, without those that cannot be compared if there are others.
func (p *benchPicture) draw(runs []*benchReport) error {
	if p == nil || len(runs) == 0 {
		return nil
	}
	if w := whole(runs); len(w) > 0 {
		runs = w
	}
	if info, err := p.file.Stat(); err == nil && info.Mode().IsRegular() {
		if err := p.file.Truncate(0); err != nil {
			return err
		}
	}
	_, err := p.file.Write(drawLatency(runs))
	return err
}

// close removes a file in which there is nothing.
func (p *benchPicture) close() {
	if p == nil {
		return
	}
	info, err := p.file.Stat()
	_ = p.file.Close() // nothing is written any more
	if err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		_ = os.Remove(p.file.Name()) // else it stays, empty
	}
}

// drawLatency draws the latency of each run by percentile: each nine as far from
// the last, and latency upwards, each power of ten as far from the last.
func drawLatency(runs []*benchReport) []byte {
	low, high := math.Inf(1), 0.0
	p := plot.Lines{X: plot.Axis{Title: "percentile of deliveries", High: mostNines}}
	for _, percent := range []float64{0, 90, 99, 99.9, 99.99, 99.999} {
		p.X.Ticks = append(p.X.Ticks, plot.Tick{At: nines(percent), Label: fmt.Sprintf("%v%%", percent)})
	}
	for i, r := range runs {
		low, high = min(low, float64(r.Latency.Min)), max(high, float64(r.Latency.Max))
		p.Series = append(p.Series, plot.Series{Name: r.label(), Points: r.curve(), Color: i + 1})
	}
	p.Y = plot.Decades("", low, high, func(us float64) string { return micros(int64(us)).String() })
	return p.SVG()
}

const mostNines = 5.0

func nines(percent float64) float64 { return min(-math.Log10(1-percent/100), mostNines) }

// curve goes as far as there are deliveries to tell percentiles apart.
func (p *benchReport) curve() (points []plot.Point) {
	const steps = 200
	for i := range steps + 1 {
		x := mostNines * float64(i) / steps
		percent := 100 * (1 - math.Pow(10, -x))
		if i > 0 && float64(p.Delivered)*(1-percent/100) < 1 {
			break
		}
		points = append(points, plot.Point{X: x, Y: float64(p.latency.ValueAtQuantile(percent))})
	}
	return points
}

func (p *benchReport) label() string {
	text := fmt.Sprintf("%s, %s: %s deliveries/s, p99 %v", counted(p.Clients, "client"), p.Transport, perSecond(p.PerSecond), micros(p.Latency.P99))
	if p.Stalled > 0 {
		text += fmt.Sprintf(", %d stalled", p.Stalled)
	}
	return text
}
