package fault

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A Kind is what goes wrong.
type Kind int8

const (
	// Cut resets the connection. An exchange fails: [Out] before its request
	// arrives, [In] in the middle of its answer.
	Cut Kind = iota
	// HalfOpen lets everything vanish from now on, both ways, and tells neither
	// end: writes succeed, reads wait until a deadline or Close.
	HalfOpen
	// Stall lets nothing pass for Step.For, then goes on.
	Stall
	// Delay makes each piece from now on late by Step.For.
	Delay
	// Corrupt flips one bit of the next byte.
	Corrupt
	// Duplicate lets the next piece pass twice. An exchange's request arrives
	// twice, at once, and one of the answers is lost; [In], its answer is in the
	// body twice.
	Duplicate
	// Reorder swaps the halves of the next piece. An exchange's request, or
	// [In] its answer, waits until another exchange has been answered, for
	// Step.For at most.
	Reorder
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	names := [...]string{"cut", "half-open", "stall", "delay", "corrupt", "duplicate", "reorder"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind %d", int8(k))
	}
	return names[k]
}

// A Way is a direction, seen from whoever holds the connection. From a [Proxy]
// or a [NewListener] that is the server's side: In is what clients send.
type Way int8

const (
	// Out is what is written: an exchange's request.
	Out Way = iota
	// In is what is read: an exchange's answer.
	In
)

// A Step is one fault. The zero value cuts a connection before it has written
// anything.
type Step struct {
	Kind  Kind
	Way   Way
	After int           // bytes that pass in this direction before it, from the connection's start
	For   time.Duration // of a Stall, a Delay, an exchange's Reorder
}

// A Plan gives the steps of a connection or exchange: the first one is number
// zero. It may be called from several goroutines at once.
type Plan func(number int) []Step

// Script gives all connections the same steps.
func Script(steps ...Step) Plan { return func(int) []Step { return steps } }

// Random draws steps from seed: about one in every so many bytes of each
// direction, of the given kinds (all, if none is named), which last up to a
// fifth of a second. The same seed gives the same steps. It panics if every is
// not positive.
func Random(seed uint64, every int, some ...Kind) Plan {
	if every <= 0 {
		panic(fmt.Sprintf("fault: a fault every %d bytes", every))
	}
	if len(some) == 0 {
		some = []Kind{Cut, HalfOpen, Stall, Delay, Corrupt, Duplicate, Reorder}
	}
	return func(number int) []Step {
		r := rand.New(rand.NewPCG(seed, uint64(number)))
		var steps []Step
		for _, way := range []Way{Out, In} {
			for at := 0; len(steps) < 16; {
				at += int(r.ExpFloat64() * float64(every))
				k := some[r.IntN(len(some))]
				steps = append(steps, Step{Kind: k, Way: way, After: at, For: time.Duration(r.Int64N(int64(200 * time.Millisecond)))})
				if k == Cut || k == HalfOpen {
					break
				}
			}
		}
		return steps
	}
}

// along returns the steps of one direction, in the order of their bytes.
func along(steps []Step, way Way) []Step {
	own := slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Way != way })
	slices.SortStableFunc(own, func(a, b Step) int { return cmp.Compare(a.After, b.After) })
	return own
}
