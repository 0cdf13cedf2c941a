//go:build !race && !lockcheck

package server

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A channel is found with all its patterns without allocation, once somebody has
// used it since the last change of patterns.
func TestALookupAllocatesNothing(t *testing.T) {
	srv, names := forest(t, 1000)
	next := 0
	look := func() {
		patterns, _ := srv.channels.audience(names[next%len(names)])
		require.Equal(t, 3, patterns)
		next++
	}
	for range names {
		look()
	}
	if n := testing.AllocsPerRun(len(names), func() {
		srv.channels.audience(names[next%len(names)])
		next++
	}); n != 0 {
		t.Errorf("%v allocations for each", n)
	}
}
