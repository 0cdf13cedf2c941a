package cometd_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wall has who may make numbers of times by the wall clock and back, and why.
var wall = map[string]string{
	"server/id.go":                      "ids that sort by age",
	"server/expiry.go":                  "what a client is told",
	"client/stats.go":                   "what a user is told",
	"client/reader.go":                  "what a user is told",
	"client/cookies.go":                 "the past",
	"longpoll/held.go":                  "the past",
	"internal/wire/shut.go":             "the past",
	"keypair/keypair.go":                "files have such times",
	"ext/timestamp":                     "what a client is told",
	"ext/timesync":                      "is about the wall clock",
	"ext/replay/boltstore":              "what outlives the process",
	"ext/replay/replayserver/memory.go": "ids as in a store that outlives the process",
	"cmd":                               "a program",
	"bench":                             "programs that measure",
}

// A machine's clock may be set while sessions live, and none of them may end
// for it, or live on for ever. Timers, contexts' deadlines and the difference of two
// time.Times go by the monotonic clock, which nobody sets, and internal/clock is
// that. A time.Time loses it where it becomes a number, or another date. What does
// neither cannot see that the wall clock was set, and no test has to set it, which
// would need a machine of its own.
func TestNoSessionEndsBecauseAClockIsSet(t *testing.T) {
	number := regexp.MustCompile(`\.(Unix(Milli|Micro|Nano)?|UTC|AddDate)$`)
	seen, checked := map[string]bool{}, 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		path = filepath.ToSlash(path)
		if _, ok := wall[path]; ok {
			seen[path] = true
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		checked++
		for _, name := range selected(t, path) {
			assert.NotRegexp(t, number, name, "%s: use internal/clock", path)
		}
		return nil
	})
	require.NoError(t, err)
	assert.Len(t, seen, len(wall), "all these exist")
	require.Greater(t, checked, 100)
}
