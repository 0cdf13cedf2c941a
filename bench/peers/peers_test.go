package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bench/internal/trial"
)

// A peer that is not installed is left out, with a word about it; who asks for it
// gets an error.
func TestAPeerThatIsMissingIsLeftOut(t *testing.T) {
	is := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	all := []peer{
		{trial.Server{Name: "here"}, is(nil)},
		{trial.Server{Name: "missing"}, is(errors.New("run interop/install"))},
		{trial.Server{Name: "here too"}, is(nil)},
	}
	var log strings.Builder
	servers, err := available(t.Context(), &log, all, "")
	require.NoError(t, err)
	require.Len(t, servers, 2)
	assert.Equal(t, "here too", servers[1].Name)
	assert.Equal(t, "without missing: run interop/install\n", log.String())

	_, err = available(t.Context(), &log, all, "missing")
	assert.EqualError(t, err, "missing: run interop/install")
	servers, err = available(t.Context(), &log, all, "too")
	require.NoError(t, err)
	assert.Len(t, servers, 1)
	_, err = available(t.Context(), &log, all, "(")
	assert.Error(t, err)
}
