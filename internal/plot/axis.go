package plot

import (
	"math"
	"strconv"
)

// An Axis says where a value stands between Low and High.
type Axis struct {
	Title     string
	Low, High float64
	Log       bool // equal ratios are equally far apart; Low is above 0
	Ticks     []Tick
}

// A Tick is a labelled line across the picture.
type Tick struct {
	At    float64
	Label string
}

// Decades is a logarithmic axis with the powers of ten that hold low and high, at
// least two of them. Values below 1 count as 1.
func Decades(title string, low, high float64, label func(float64) string) Axis {
	from, to := math.Floor(math.Log10(max(low, 1))), math.Ceil(math.Log10(max(high, 1)))
	from = max(min(from, to-1), 0)
	to = max(to, from+1)
	a := Axis{Title: title, Low: math.Pow(10, from), High: math.Pow(10, to), Log: true}
	for d := from; d <= to; d++ {
		v := math.Pow(10, d)
		a.Ticks = append(a.Ticks, Tick{v, label(v)})
	}
	return a
}

// FromZero is an axis from 0 to high or somewhat more, with round ticks.
func FromZero(title string, high float64) Axis {
	step := roundStep(high / 4)
	a := Axis{Title: title}
	for n := 0.0; ; n++ {
		v := n * step
		a.Ticks = append(a.Ticks, Tick{v, strconv.FormatFloat(v, 'g', 6, 64)})
		if a.High = v; v >= high && n > 0 {
			return a
		}
	}
}

// roundStep is the least of 1, 2 and 5 times a power of ten that is not below
// step.
func roundStep(step float64) float64 {
	if step <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, n := range []float64{1, 2, 5} {
		if n*power >= step {
			return n * power
		}
	}
	return 10 * power
}

// at is where v stands: 0 is Low, 1 is High.
func (a Axis) at(v float64) float64 {
	low, high := a.Low, a.High
	if a.Log {
		low, high, v = math.Log10(low), math.Log10(high), math.Log10(max(v, a.Low))
	}
	return (v - low) / (high - low)
}
