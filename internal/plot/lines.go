package plot

import (
	"bytes"
	"fmt"
	"html"
)

// Lines is a picture of series over two axes.
type Lines struct {
	Title  string
	X, Y   Axis
	Series []Series
}

// A Series is one line through its points, from left to right.
type Series struct {
	Name   string
	Points []Point
	Color  int  // counted from 0, which is grey
	Dots   bool // each point is marked: it was measured, and what is between was not
}

// A Point is in the units of the axes.
type Point struct{ X, Y float64 }

const (
	width          = 720
	left, right    = 70, 680
	plotHeight     = 290
	head           = 48 // from the top to the first line below the title
	lineHeight     = 18
	colors         = 6
	titleX, titleY = 16, 26
)

// style has the colours. Those of the series are readable on either ground.
const style = `<style>
.ground{fill:#fff}text{fill:#1f2328}.grid{stroke:#d0d7de}path,circle{stroke-width:2}.grid{stroke-width:1}
@media (prefers-color-scheme:dark){.ground{fill:#0d1117}text{fill:#e6edf3}.grid{stroke:#30363d}}
.l0{stroke:#6e7781}.l1{stroke:#1f6feb}.l2{stroke:#d1242f}.l3{stroke:#1a7f37}.l4{stroke:#9a6700}.l5{stroke:#8250df}
.f0{fill:#6e7781}.f1{fill:#1f6feb}.f2{fill:#d1242f}.f3{fill:#1a7f37}.f4{fill:#9a6700}.f5{fill:#8250df}
</style>
`

func begin(b *bytes.Buffer, height int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	b.WriteString(style)
	fmt.Fprintf(b, `<rect class="ground" width="%d" height="%d"/>`+"\n", width, height)
	if title != "" {
		fmt.Fprintf(b, `<text x="%d" y="%d" font-size="15">%s</text>`+"\n", titleX, titleY, html.EscapeString(title))
	}
}

// SVG draws it. The names of the series stand above the axes.
func (l Lines) SVG() []byte {
	var b bytes.Buffer
	bottom := l.bottom()
	begin(&b, bottom+3*lineHeight, l.Title)
	for _, t := range l.Y.Ticks {
		at := l.y(t.At)
		fmt.Fprintf(&b, `<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, at, right, left-8, at+4, html.EscapeString(t.Label))
	}
	for _, t := range l.X.Ticks {
		at := l.x(t.At)
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %dV%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			at, bottom-plotHeight, bottom, at, bottom+lineHeight, html.EscapeString(t.Label))
	}
	for i, s := range l.Series {
		s.name(&b, head+lineHeight*i)
		l.draw(&b, s)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+right)/2, bottom+2*lineHeight+4, html.EscapeString(l.X.Title))
	fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n</svg>\n", titleX, bottom-plotHeight-lineHeight/2, html.EscapeString(l.Y.Title))
	return b.Bytes()
}

func (l Lines) bottom() int         { return head + lineHeight*(1+len(l.Series)) + plotHeight }
func (l Lines) x(v float64) float64 { return left + l.X.at(v)*(right-left) }
func (l Lines) y(v float64) float64 { return float64(l.bottom()) - l.Y.at(v)*plotHeight }

func (s Series) name(b *bytes.Buffer, y int) {
	fmt.Fprintf(b, `<rect class="f%d" x="%d" y="%d" width="10" height="10"/><text x="%d" y="%d">%s</text>`+"\n",
		s.Color%colors, left, y-9, left+16, y, html.EscapeString(s.Name))
}

func (l Lines) draw(b *bytes.Buffer, s Series) {
	fmt.Fprintf(b, `<path class="l%d" fill="none" d="`, s.Color%colors)
	command := 'M'
	for _, p := range s.Points {
		fmt.Fprintf(b, "%c%.1f %.1f", command, l.x(p.X), l.y(p.Y))
		command = 'L'
	}
	b.WriteString(`"/>` + "\n")
	if !s.Dots {
		return
	}
	for _, p := range s.Points {
		fmt.Fprintf(b, `<circle class="f%d" cx="%.1f" cy="%.1f" r="4"/>`+"\n", s.Color%colors, l.x(p.X), l.y(p.Y))
	}
}
