package plot

import (
	"bytes"
	"fmt"
	"html"
)

// Bars is a picture of groups of bars, one below the other. Each group has a
// scale of its own, which begins at 0.
type Bars struct {
	Title  string
	Groups []Group
}

// A Group is bars that are compared with each other.
type Group struct {
	Title string
	Bars  []Bar
}

// A Bar is as long as its value is to the greatest of its group.
type Bar struct {
	Name, Label string
	Value       float64
	Color       int // as a Series has it
}

const (
	barLeft, barWidth = 150, 470
	barHeight         = 12
	groupGap          = 10
)

// SVG draws it.
func (p Bars) SVG() []byte {
	height := head
	for _, g := range p.Groups {
		height += groupGap + lineHeight*(1+len(g.Bars))
	}
	var b bytes.Buffer
	begin(&b, height, p.Title)
	y := head
	for _, g := range p.Groups {
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", titleX, y, html.EscapeString(g.Title))
		y += lineHeight
		for _, bar := range g.Bars {
			g.draw(&b, bar, y)
			y += lineHeight
		}
		y += groupGap
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (g Group) draw(b *bytes.Buffer, bar Bar, y int) {
	most := 0.0
	for _, bar := range g.Bars {
		most = max(most, bar.Value)
	}
	length := 0.0
	if most > 0 {
		length = bar.Value / most * barWidth
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect class="f%d" x="%d" y="%d" width="%.1f" height="%d"/><text x="%.1f" y="%d">%s</text>`+"\n",
		barLeft-8, y, html.EscapeString(bar.Name), bar.Color%colors, barLeft, y-barHeight+2, length, barHeight, barLeft+length+6, y, html.EscapeString(bar.Label))
}
