package server

import (
	"fmt"
	"time"
)

// Timing is when things happen to a session. The zero value of a field means
// its default; a negative value means zero, except of Sweep, which it is an error
// for, and more than a year is a year (docs/protocol.md §12).
type Timing struct {
	Timeout     time.Duration // how long a connect is held; default 20s
	Interval    time.Duration // the pause advised between two connects; default 0
	MaxInterval time.Duration // the grace: how long a session outlives its last connect; default 10s

	// MaxPause is the longest interval that a client may ask for; its session is
	// kept for as long beside the grace. Negative: it asks in vain
	// (docs/protocol.md §5).
	MaxPause time.Duration // default 2m, or Interval if that is longer

	// Processing is how long the application's code may take with one payload
	// before its session ends as expired, which ends the code's context
	// (docs/protocol.md §12). A handshake is then refused, with the advice to come
	// again.
	Processing time.Duration // default none, however long its session waits

	Lazy  time.Duration // how long a lazy message may wait for company; default 5s
	Sweep time.Duration // how often expired sessions and idle channels are looked for; default 1s. Of the whole server: an error in WithTransportTiming, of no effect in SetTiming

	// Multiple is the pause advised to the second session of one browser. Negative:
	// it is told not to come back (docs/protocol.md §11).
	Multiple time.Duration // default 2s
}

var defaultTiming = Timing{
	Timeout: 20 * time.Second, MaxInterval: 10 * time.Second, MaxPause: 2 * time.Minute,
	Lazy: 5 * time.Second, Sweep: time.Second, Multiple: 2 * time.Second,
}

// orElse returns t where it is set and below where it is not.
func (t Timing) orElse(below Timing) Timing {
	orDefault(&t.Timeout, below.Timeout)
	orDefault(&t.Interval, below.Interval)
	orDefault(&t.MaxInterval, below.MaxInterval)
	orDefault(&t.MaxPause, below.MaxPause)
	orDefault(&t.Processing, below.Processing)
	orDefault(&t.Lazy, below.Lazy)
	orDefault(&t.Sweep, below.Sweep)
	orDefault(&t.Multiple, below.Multiple)
	return t
}

// year is the longest duration: longer ones would overflow where they are summed up.
const year = 365 * 24 * time.Hour

// settled replaces negative durations, which mean zero, and those that are too long,
// once all layers are merged.
func (t Timing) settled() Timing {
	for _, d := range []*time.Duration{&t.Timeout, &t.Interval, &t.MaxInterval, &t.MaxPause, &t.Processing, &t.Lazy, &t.Multiple} {
		*d = min(max(*d, 0), year)
	}
	return t
}

func (t Timing) check() error {
	if t.Sweep < 0 {
		return fmt.Errorf("server: sweep period is negative: %v", t.Sweep)
	}
	return nil
}
