// Package clock tells a time that fits into an atomic word and does not jump
// with the wall clock, which is set while programs run.
package clock

import "time"

// start is before the year 2000, with which the time of a synctest bubble begins,
// so that no time is zero.
var start = time.Now().Add(-40 * 365 * 24 * time.Hour)

// Now is the time since some moment before the process began: always more than
// zero. The process does not see how long a machine sleeps.
func Now() time.Duration { return time.Since(start) }
