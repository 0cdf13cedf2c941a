// Package plot draws figures as SVG: lines over two axes, and bars. What it draws
// is readable on a light ground and on a dark one, whichever the reader prefers.
package plot
