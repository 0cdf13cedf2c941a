package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd"
	"github.com/gocometd/cometd/bayeux"
	"github.com/gocometd/cometd/client"
	"github.com/gocometd/cometd/server"
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
			r := benchFaults{Lost: count.backlog(), Disorder: l.disorder, Repeated: l.repeated}
			assert.Equal(t, name != "all", r.failure() != nil)
		})
	}
}

// What the server refuses is not under way, and its publisher goes on to say so.
func TestBenchDoesNotTakeWhatIsRefusedForLost(t *testing.T) {
	s := newBenchCount(1, 2).streams[0]
	s.subscribers = 3
	s.sent.Store(2)
	<-s.room
	assert.False(t, s.hasRoom())
	s.fail(&bayeux.Error{Code: 403, Message: "no"})
	assert.EqualValues(t, 3, s.backlog())
	assert.Len(t, s.room, 1)
	s.fail(client.ErrLost)
	assert.EqualValues(t, 3, s.backlog(), "it may have arrived")
	assert.ErrorContains(t, s.failed(), "403", "the first")
	assert.ErrorContains(t, benchFaults{Refused: 1}.failure(), "1 publishes were refused")
}

// Why connections broke is told the most frequent first, whatever the addresses were.
func TestBenchTellsWhyConnectionsBroke(t *testing.T) {
	var b breakages
	for port := range 3 {
		read := &net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{Port: 1000 + port}, Err: syscall.ECONNRESET}
		b.note(client.Change{From: bayeux.Connected, Err: fmt.Errorf("receive: %w", read)})
		b.note(client.Change{From: bayeux.Connected, Err: fmt.Errorf("ask: %w", &url.Error{Op: "Post", URL: "http://x?n=" + strconv.Itoa(port), Err: read})})
	}
	b.note(client.Change{From: bayeux.Connected, Err: errors.New("overflow")})
	b.note(client.Change{From: bayeux.Connected})                                   // by its own will
	b.note(client.Change{From: bayeux.Connecting, Err: errors.New("not even one")}) // there was none to break
	assert.Equal(t, []breakage{{3, "ask: read: connection reset by peer"}, {3, "receive: read: connection reset by peer"}, {1, "overflow"}}, b.list())
	for i := range 10 {
		b.note(client.Change{From: bayeux.Connected, Err: fmt.Errorf("other %d", i)})
	}
	assert.Len(t, b.list(), mostReasons+1)
	assert.Equal(t, breakage{8, "for 8 reasons more"}, b.list()[mostReasons])
}

// Large messages, and those of many publishers, have windows that a session's queue holds.
func TestBenchHasWindowsThatFitIntoAQueue(t *testing.T) {
	for _, c := range []struct{ size, publishers, channels, want int }{
		{128, 1, 1, usualWindow},
		{128, 64, 4, usualWindow},
		{16 << 10, 1, 100, usualWindow},
		{64 << 10, 1, 1, 4},
		{1 << 20, 1, 1, 1},
		{4 << 10, 50, 1, 1},
		{8 << 10, 8, 1, 4},
		{8 << 10, 8, 8, usualWindow},
		{8 << 10, 9, 8, usualWindow},
		{0, -1, -1, usualWindow}, // refused later
	} {
		b := benchCmd{Publishers: c.publishers, Channels: c.channels}
		assert.Equal(t, c.want, usualWindowOf(c.size, b.streamsPerChannel()), c)
	}
}

// The last message may be repeated like any other: a run ends a moment after all
// has come.
func TestBenchSeesARepeatOfTheLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &benchRun{benchCmd: &benchCmd{connection: connection{Wait: time.Minute}}, count: newBenchCount(1, 16)}
		stream, l := r.count.streams[0], r.count.listener(0, func(int64) bool { return true })
		stream.subscribers = 1
		stream.sent.Store(1)
		var heard sync.WaitGroup
		heard.Go(func() {
			for range 2 {
				time.Sleep(150 * time.Millisecond)
				l.hear(r.count.appendData(nil, 0, 0, time.Now(), 128))
			}
		})
		r.settle()
		assert.InDelta(t, 350*time.Millisecond, time.Since(r.count.began), float64(20*time.Millisecond))
		heard.Wait()
		assert.EqualValues(t, 1, l.repeated)
	})
	for p99, want := range map[time.Duration]time.Duration{0: 200, 10 * time.Millisecond: 200, 100 * time.Millisecond: 400, time.Minute: 1000} {
		count := newBenchCount(1, 16)
		count.shards[0].record(int64(p99))
		assert.InDelta(t, want*time.Millisecond, count.encore(), float64(time.Millisecond), p99)
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

// Deliveries per second are counted until the last of them, and published is what
// was due in the measured time: of a warm-up only its faults are told.
func TestBenchCountsWhatWasDueInTheMeasuredTime(t *testing.T) {
	r := &benchRun{benchCmd: &benchCmd{benchLoad: benchLoad{Rate: 10}, Clients: 1, Channels: 1}, count: newBenchCount(1, 16)}
	c := r.count
	c.began = time.Now().Add(-4 * time.Second)
	c.measure(c.began.Add(time.Second), time.Second)
	s, l := c.streams[0], c.listener(0, func(int64) bool { return true })
	s.subscribers = 1
	for number := range int64(30) { // as many before as within and after
		due := c.began.Add(time.Duration(number) * 100 * time.Millisecond)
		s.sent.Add(1)
		if c.measures(int64(due.Sub(c.began))) {
			s.measured.Add(1)
		}
		l.hear(c.appendData(nil, 0, number, due, 128))
	}
	p := r.report(nil, 0)
	assert.EqualValues(t, 10, p.Published)
	assert.InDelta(t, 10, p.Offered, 0.01)
	assert.EqualValues(t, 10, p.Delivered)
	assert.InDelta(t, 3.3, p.PerSecond, 1, "they came three seconds after the measured time had begun")
	assert.Zero(t, p.benchFaults)
	assert.Contains(t, string(p.text()), "published   10, 10 per second of the 10 asked for\n")
}

// A rate that was not reached is said, and a message too few at the end is not.
func TestBenchSaysThatARateWasNotReached(t *testing.T) {
	for published, fell := range map[int64]bool{1000: false, 990: false, 988: true} {
		p := &benchReport{Rate: 100, Seconds: 10, benchMeasured: benchMeasured{Published: published}}
		assert.Equal(t, fell, strings.Contains(string(p.text()), "fell behind"), published)
	}
}

// A publisher whose client has no room waits for an answer, and what cannot be
// sent at all is not counted as sent.
func TestBenchFallsBehindWhereAClientIsBusy(t *testing.T) {
	a := newTarget(t, server.Limits{})
	c, err := cometd.Dial(t.Context(), a.direct, client.WithLimits(client.Limits{Pending: 1}))
	require.NoError(t, err)
	defer c.Close()
	count := newBenchCount(2, 16)
	answered := make(chan struct{}, 1)
	var streams []*benchStream
	for i, tally := range count.streams {
		streams = append(streams, &benchStream{benchTally: tally, number: i, client: c, answered: answered, channel: "/bench/0", size: 128})
	}
	for range 20 {
		for _, s := range streams {
			require.NoError(t, s.publish(t.Context(), time.Now()))
		}
	}
	c.Close()
	for _, s := range streams {
		require.ErrorIs(t, s.publish(t.Context(), time.Now()), client.ErrClosed)
		assert.EqualValues(t, 20, s.sent.Load())
	}
}

// The rows of the drawing have every delivery.
func TestBenchDrawsEveryDelivery(t *testing.T) {
	r := &benchReport{Clients: 1, latency: newLatency()}
	for us := int64(1); us < 60_000_000; us = us*13/10 + 1 {
		assert.NoError(t, r.latency.RecordValue(us))
		r.Delivered++
	}
	r.Latency.Min, r.Latency.Max = r.latency.Min(), r.latency.Max()
	sum := int64(0)
	for _, row := range r.rows() {
		sum += row.count
		assert.Less(t, row.from, row.to)
	}
	assert.Equal(t, r.Delivered, sum)
	assert.Contains(t, string(drawLatency([]*benchReport{r})), "</svg>")
	assert.Contains(t, string(drawLatency([]*benchReport{{latency: newLatency()}})), "</svg>", "nothing was measured")
}
