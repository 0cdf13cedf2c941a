package codec

import "math"

// The limits that hold where a field of [Limits] is zero.
const (
	DefaultBytes     = 256 << 10
	DefaultMessages  = 512
	DefaultDepth     = 64
	DefaultDataDepth = 512
)

// Limits bounds what a payload may make its reader hold. A zero field means
// its default; a negative one means no bound.
type Limits struct {
	Bytes     int // of the payload; default 256 KiB
	Messages  int // in the batch; default 512
	Depth     int // nesting outside data, the batch's own array included; default 64
	DataDepth int // nesting inside data; default 512
}

func (l Limits) orDefaults() Limits {
	return Limits{
		Bytes:     orDefault(l.Bytes, DefaultBytes),
		Messages:  orDefault(l.Messages, DefaultMessages),
		Depth:     orDefault(l.Depth, DefaultDepth),
		DataDepth: orDefault(l.DataDepth, DefaultDataDepth),
	}
}

func orDefault(n, standard int) int {
	switch {
	case n == 0:
		return standard
	case n < 0:
		return math.MaxInt
	}
	return n
}
