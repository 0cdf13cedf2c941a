package main

import (
	"fmt"
	"math"

	"github.com/gocometd/cometd/internal/plot"
)

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
	text := fmt.Sprintf("%d clients, %s: %.0f deliveries/s, p99 %v", p.Clients, p.Transport, p.PerSecond, micros(p.Latency.P99))
	if p.Stalled > 0 {
		text += fmt.Sprintf(", %d stalled", p.Stalled)
	}
	return text
}
