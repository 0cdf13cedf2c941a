package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What is missing, late or repeated is told apart, and is a failure.
func TestBenchSeesEveryFault(t *testing.T) {
	for name, c := range map[string]struct {
		heard                    []int64
		lost, disorder, repeated int64
	}{
		"all":              {[]int64{0, 1, 2, 3}, 0, 0, 0},
		"the first":        {[]int64{1, 2, 3}, 1, 0, 0},
		"the last":         {[]int64{0, 1, 2}, 1, 0, 0},
		"one between":      {[]int64{0, 2, 3}, 1, 0, 0},
		"two changed":      {[]int64{0, 2, 1, 3}, 0, 1, 0},
		"one twice":        {[]int64{0, 1, 1, 2, 3}, 0, 0, 1},
		"nothing":          {nil, 4, 0, 0},
		"late and missing": {[]int64{3, 0}, 2, 1, 0},
		"twice, not once":  {[]int64{0, 3, 0, 2}, 1, 1, 1},
		"all late":         {[]int64{3, 1, 0, 2}, 0, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			count := newBenchCount(1, 16)
			stream, l := count.streams[0], count.listener(0, func(int64) bool { return true })
			stream.subscribers = 1
			stream.sent.Store(4)
			for _, number := range c.heard {
				l.hear(count.appendData(nil, 0, number, time.Now(), 128))
			}
			assert.Equal(t, c.lost, count.backlog(), "lost")
			assert.Equal(t, c.disorder, l.disorder, "out of order")
			assert.Equal(t, c.repeated, l.repeated, "repeated")
			r := benchFaults{count.backlog(), l.disorder, l.repeated}
			assert.Equal(t, name != "all", r.failure() != nil)
		})
	}
}

// A message is of the size that was asked for, and is read also where a server
// has written its JSON anew.
func TestBenchReadsItsOwnMark(t *testing.T) {
	count := newBenchCount(8, 1)
	data := count.appendData(nil, 7, 12345, count.began.Add(time.Second), 200)
	assert.Len(t, data, 200)
	for _, text := range []string{string(data), strings.ReplaceAll(string(data), `":"`, `" : "`)} {
		stream, number, at, ok := readMark([]byte(text))
		assert.True(t, ok)
		assert.Equal(t, []int64{7, 12345, 1e9}, []int64{stream, number, at})
	}
	for _, other := range []string{``, `@@`, `@@@`, `@@1,2@`, `@@1,2,3,4@`, `@@1,-2,3@`, `@@1,2,3`} {
		_, _, _, ok := readMark([]byte(other))
		assert.False(t, ok, other)
	}
}

// The numbers of a message fit into the least size, however long a run is.
func TestBenchSizeHoldsAnyNumbers(t *testing.T) {
	count := newBenchCount(1, 1)
	data := count.appendData(nil, 1<<31, 1<<62, count.began.Add(1<<62), leastSize)
	assert.Len(t, data, leastSize)
}

// The rows of the drawing have every delivery.
func TestBenchDrawsEveryDelivery(t *testing.T) {
	r := &benchReport{Clients: 1, latency: newLatency()}
	for us := int64(1); us < 60_000_000; us = us*13/10 + 1 {
		assert.NoError(t, r.latency.RecordValue(us))
		r.Measured++
	}
	r.Latency.Min, r.Latency.Max = r.latency.Min(), r.latency.Max()
	sum := int64(0)
	for _, row := range r.rows() {
		sum += row.count
		assert.Less(t, row.from, row.to)
	}
	assert.Equal(t, r.Measured, sum)
	assert.Contains(t, string(drawLatency([]*benchReport{r})), "</svg>")
	assert.Contains(t, string(drawLatency([]*benchReport{{latency: newLatency()}})), "</svg>", "nothing was measured")
}
