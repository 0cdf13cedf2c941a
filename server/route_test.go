package server

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bayeux"
)

// Whatever patterns come and go, those of a name are found that match it, from root
// to leaf.
func TestANameFindsItsPatternsAmongAllThatExist(t *testing.T) {
	srv, err := New()
	require.NoError(t, err)
	defer srv.Close()
	r := &srv.channels
	rnd := rand.New(rand.NewPCG(1, 2))
	name := func() string {
		var b strings.Builder
		for range 1 + rnd.IntN(4) {
			b.WriteString([]string{"/a", "/b", "/long", "/"}[rnd.IntN(4)])
		}
		return b.String() + []string{"", "/*", "/**"}[rnd.IntN(3)]
	}
	found := 0
	for range 5000 {
		n := name()
		if c, err := bayeux.ParsePattern(n); err == nil {
			ch := srv.createChannel(string(c), nil)
			if rnd.IntN(3) > 0 {
				r.forget(ch)
			}
		}
		n = name()
		var want, got []string
		for p := range bayeux.Channel(n).Patterns {
			if ch := r.get([]byte(p)); ch != nil && ch.wild {
				want = append(want, p)
			}
		}
		for _, ch := range r.patternsOf(n) {
			got = append(got, ch.name)
		}
		require.Equal(t, want, got, n)
		found += len(got)
	}
	assert.Greater(t, found, 1000)
}
