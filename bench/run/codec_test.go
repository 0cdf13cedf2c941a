package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/bench/internal/trial"
)

// The table has medians, and ratios of what was measured in the same round.
func TestTheCodecsTableComparesRoundByRound(t *testing.T) {
	const printed = `goos: linux
pkg: github.com/gocometd/cometd/bench
BenchmarkDecode/pub1/ours         	  111571	       100.0 ns/op	 2000.00 MB/s	       0 B/op	       0 allocs/op
BenchmarkDecode/pub1/std          	   10000	      1000 ns/op	  16.35 MB/s	     545 B/op	      18 allocs/op
BenchmarkDecode/pub1/goccy        	   65605	       200.0 ns/op	 123.16 MB/s	     192 B/op	       9 allocs/op
BenchmarkClient/other/ours        	   65605	       3.5 ns/op	 123.16 MB/s	     192 B/op	       9 allocs/op
BenchmarkPublish-2   	     300	      3975 ns/op	    251811 publishes/s
PASS
BenchmarkDecode/pub1/ours         	  111571	       200.0 ns/op	 1000.00 MB/s	       0 B/op	       0 allocs/op
BenchmarkDecode/pub1/std          	   10000	      2400 ns/op	  16.35 MB/s	     545 B/op	      18 allocs/op
BenchmarkDecode/pub1/goccy        	   65605	       600.0 ns/op	 123.16 MB/s	     192 B/op	       9 allocs/op
`
	var all []*trial.Result
	for line := range strings.Lines(printed) {
		all = addCodec(all, line)
	}
	var b strings.Builder
	require.NoError(t, writeCodec(&b, all))
	table, rounds, ok := strings.Cut(b.String(), "\n<details>")
	require.True(t, ok)
	assert.Equal(t, `| | ours, ns | GB/s | allocations | times as fast as encoding/json | as goccy | goals |
|---|--:|--:|--:|--:|--:|--:|
| decode pub1 | 150 | 1.50 | 0 | 11.0 | 2.50 | 13, 1.9 |
| client other | 4 | 0.12 | 9 | 0.0 | 0.00 |  |
`, table)
	assert.Contains(t, rounds, "| decode pub1, ns | 100 200 | 1000 2400 | 200 600 |\n")
	assert.Error(t, writeCodec(&b, nil), "nothing was printed")
}
