//go:build !race && !lockcheck

package server

import (
	"log/slog"
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

// Whoever breaks a limit again and again is counted, and that is all.
func TestALimitThatIsBrokenAgainAllocatesNothing(t *testing.T) {
	srv, err := New(WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	defer srv.Close()
	s, _ := sessionOf(srv)
	breaks := func() { srv.limited(limitIDBytes, "192.0.2.1", s) }
	breaks()
	if n := testing.AllocsPerRun(100, breaks); n != 0 {
		t.Errorf("%v allocations for each", n)
	}
}

// What a subscribe or a replayed message has to tell nobody costs it nothing.
func TestWakesWithNothingToTellAllocateNothing(t *testing.T) {
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	if n := testing.AllocsPerRun(100, func() {
		var w wakes
		w.flushApart(srv)
	}); n != 0 {
		t.Errorf("%v allocations for each", n)
	}
}
