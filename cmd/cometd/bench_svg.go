package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// The picture: percentiles from left to right, each nine as far from the last;
// latency upwards, each power of ten as far from the last.
const (
	svgWidth, svgHeight = 720, 400
	svgLeft, svgRight   = 70, 700
	svgTop, svgBottom   = 40, 350
	svgNines            = 5.0
)

var svgColors = [...]string{"#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"}

// drawLatency draws the latency of each run by percentile.
func drawLatency(runs []*benchReport) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", svgWidth, svgHeight)
	low, high := decades(runs)
	y := func(us float64) float64 {
		return svgBottom - (math.Log10(max(us, 1))-low)/(high-low)*(svgBottom-svgTop)
	}
	for d := low; d <= high; d++ {
		at := y(math.Pow(10, d))
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#d0d7de"/><text x="%d" y="%.1f" text-anchor="end">%v</text>`+"\n",
			svgLeft, at, svgRight, svgLeft-8, at+4, micros(int64(math.Pow(10, d))))
	}
	for _, percent := range []float64{0, 90, 99, 99.9, 99.99, 99.999} {
		at := svgX(percent)
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="#d0d7de"/><text x="%.1f" y="%d" text-anchor="middle">%v%%</text>`+"\n",
			at, svgTop, svgBottom, at, svgBottom+18, percent)
	}
	for i, r := range runs {
		color := svgColors[i%len(svgColors)]
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", r.curve(y), color)
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", svgLeft+10, svgTop+16+16*i, color, html.EscapeString(r.label()))
	}
	b.WriteString(`<text x="385" y="390" text-anchor="middle">percentile of deliveries</text>` + "\n</svg>\n")
	return b.Bytes()
}

func svgX(percent float64) float64 {
	nines := min(-math.Log10(1-percent/100), svgNines)
	return svgLeft + nines/svgNines*(svgRight-svgLeft)
}

// decades are the powers of ten, in µs, that hold all runs.
func decades(runs []*benchReport) (low, high float64) {
	low, high = 9, 0
	for _, r := range runs {
		low = min(low, math.Floor(math.Log10(float64(max(r.Latency.Min, 1)))))
		high = max(high, math.Ceil(math.Log10(float64(max(r.Latency.Max, 1)))))
	}
	return min(low, high-1), high
}

// curve goes as far as there are deliveries to tell percentiles apart.
func (p *benchReport) curve(y func(float64) float64) string {
	var b bytes.Buffer
	const steps = 200
	command := 'M'
	for i := range steps + 1 {
		nines := svgNines * float64(i) / steps
		percent := 100 * (1 - math.Pow(10, -nines))
		if i > 0 && float64(p.Measured)*(1-percent/100) < 1 {
			break
		}
		fmt.Fprintf(&b, "%c%.1f %.1f", command, svgX(percent), y(float64(p.latency.ValueAtQuantile(percent))))
		command = 'L'
	}
	return b.String()
}

func (p *benchReport) label() string {
	text := fmt.Sprintf("%d clients, %s: %.0f deliveries/s, p99 %v", p.Clients, p.Transport, p.PerSecond, micros(p.Latency.P99))
	if p.Stalled > 0 {
		text += fmt.Sprintf(", %d stalled", p.Stalled)
	}
	return text
}
