//go:build !unix

package bench

import (
	"testing"
	"time"
)

var start = time.Now()

// cpuTime is wall time where the system has no better.
func cpuTime(*testing.B) time.Duration { return time.Since(start) }
