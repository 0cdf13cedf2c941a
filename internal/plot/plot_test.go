package plot

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// texts are all texts of a picture, which must be well-formed.
func texts(t *testing.T, svg []byte) (all []string) {
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			all = append(all, string(text))
		}
	}
}

func TestAPictureHasItsNamesAndBothGrounds(t *testing.T) {
	l := Lines{Title: "a < b", X: Decades("x", 10, 1000, func(v float64) string { return fmt.Sprint(v) }), Y: FromZero("y", 0.9),
		Series: []Series{{Name: "one & two", Points: []Point{{10, 0.5}, {1000, 0.9}}, Dots: true}}}
	got := texts(t, l.SVG())
	for _, want := range []string{"a < b", "x", "y", "10", "100", "1000", "0.5", "one & two"} {
		assert.Contains(t, got, want)
	}
	assert.Contains(t, string(l.SVG()), "prefers-color-scheme:dark")
	b := Bars{Title: "t", Groups: []Group{{Title: "g", Bars: []Bar{{Name: "n", Label: "1 µs", Value: 1}, {Name: "none", Value: 0}}}, {Title: "empty"}}}
	assert.Subset(t, texts(t, b.SVG()), []string{"t", "g", "n", "1 µs", "none", "empty"})
}

func TestAnAxisHoldsItsValues(t *testing.T) {
	for _, high := range []float64{0, 0.003, 0.9, 1, 4.1, 77, 12345} {
		a := FromZero("", high)
		assert.GreaterOrEqual(t, a.High, high)
		assert.LessOrEqual(t, len(a.Ticks), 6)
		assert.Equal(t, 0.0, a.at(0))
		assert.Equal(t, 1.0, a.at(a.High))
	}
	for _, of := range [][2]float64{{0, 0}, {1, 1}, {10, 10}, {10, 10_000}, {5, 123}} {
		a := Decades("", of[0], of[1], func(float64) string { return "" })
		assert.LessOrEqual(t, a.Low, max(of[0], 1))
		assert.GreaterOrEqual(t, a.High, of[1])
		assert.Less(t, a.Low, a.High)
		assert.Equal(t, 0.0, a.at(0), "below 1 is 1, or Low")
	}
}
