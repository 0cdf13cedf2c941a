package main

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longestLatency is the most that is told apart.
const longestLatency = 10 * time.Minute

// A benchCount has what was sent and received.
type benchCount struct {
	began   time.Time    // what times in messages count from
	from    atomic.Int64 // of the measured messages, in nanoseconds since began
	to      atomic.Int64
	window  int64
	streams []*benchTally
	shards  []*latencyShard

	mu        sync.Mutex
	listeners []*benchListener
}

// A benchTally is of one stream.
type benchTally struct {
	count       *benchCount
	subscribers int64
	sent        atomic.Int64
	measured    atomic.Int64 // of those sent
	got         atomic.Int64
	room        chan struct{} // has one when the window may have room, or a publish has failed
	refused     atomic.Int64  // of those sent: the server has said no
	failure     atomic.Pointer[error]
}

// A latencyShard is a histogram in µs. Listeners share few of them: each takes
// some hundred KiB.
type latencyShard struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

func newBenchCount(streams, window int) *benchCount {
	c := &benchCount{began: time.Now(), window: int64(window)}
	c.to.Store(math.MaxInt64) // until measure is called
	for range streams {
		t := &benchTally{count: c, room: make(chan struct{}, 1)}
		t.room <- struct{}{}
		c.streams = append(c.streams, t)
	}
	for range 4 * runtime.GOMAXPROCS(0) {
		c.shards = append(c.shards, &latencyShard{h: newLatency()})
	}
	return c
}

func newLatency() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longestLatency.Microseconds(), 3)
}

// measure says which messages count: those that are due from then on, for d.
func (c *benchCount) measure(from time.Time, d time.Duration) {
	at := int64(from.Sub(c.began))
	c.from.Store(at)
	c.to.Store(at + int64(d))
}

// cutShort ends the measured time, if it has not ended.
func (c *benchCount) cutShort(now time.Time) {
	c.to.Store(min(c.to.Load(), int64(now.Sub(c.began))))
}

func (c *benchCount) measures(at int64) bool { return at >= c.from.Load() && at < c.to.Load() }

func (c *benchCount) received() (sum int64) {
	for _, s := range c.streams {
		sum += s.got.Load()
	}
	return sum
}

func (c *benchCount) backlog() (sum int64) {
	for _, s := range c.streams {
		sum += s.backlog()
	}
	return sum
}

// backlog is how many deliveries are still to come.
func (t *benchTally) backlog() int64 {
	return (t.sent.Load()-t.refused.Load())*t.subscribers - t.got.Load()
}

func (t *benchTally) hasRoom() bool { return t.backlog() <= (t.count.window-1)*t.subscribers }

// took counts a delivery and wakes the stream's publisher if it may go on.
func (t *benchTally) took() {
	t.got.Add(1)
	if t.hasRoom() {
		t.wake()
	}
}

// fail notes that a publish came to nothing, which ends the run.
func (t *benchTally) fail(err error) {
	t.failure.CompareAndSwap(nil, &err)
	if answered(err) {
		t.refused.Add(1) // so it cannot be lost
	}
	t.wake()
}

// failed is what became of the first publish that came to nothing.
func (t *benchTally) failed() error {
	if err := t.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// wake has the stream's publisher look what there is.
func (t *benchTally) wake() {
	select {
	case t.room <- struct{}{}:
	default:
	}
}

// A message's data has a mark, "@@STREAM,NUMBER,TIME@": a server may write JSON
// anew, but a string stays as it is.
const (
	dataForm  = `{"mark":"@@%d,%d,%d@","fill":"%s"}`
	leastSize = 96 // for numbers of any length
)

func (c *benchCount) appendData(dst []byte, stream int, number int64, due time.Time, size int) []byte {
	at := int64(due.Sub(c.began))
	bare := len(fmt.Appendf(dst, dataForm, stream, number, at, ""))
	return fmt.Appendf(dst, dataForm, stream, number, at, strings.Repeat("x", max(0, size-bare)))
}

// readMark finds the mark in data.
func readMark(data []byte) (stream, number, at int64, ok bool) {
	_, after, found := bytes.Cut(data, []byte("@@"))
	mark, _, closed := bytes.Cut(after, []byte("@"))
	if !found || !closed {
		return 0, 0, 0, false
	}
	var of [3]int64
	field := 0
	for _, d := range mark {
		switch {
		case d == ',' && field < 2:
			field++
		case d >= '0' && d <= '9':
			of[field] = of[field]*10 + int64(d-'0')
		default:
			return 0, 0, 0, false
		}
	}
	return of[0], of[1], of[2], field == 2
}

// A benchListener is one subscriber's account of what it heard. Only its own
// handler uses it, until all clients have ended.
type benchListener struct {
	count    *benchCount
	shard    *latencyShard
	own      func(stream int64) bool // on the channel that it subscribed to
	next     map[int64]int64         // by stream: the number to come
	missing  map[int64][]span        // by stream: the numbers that were passed over, in order
	disorder int64                   // numbers that came late
	repeated int64
	foreign  int64 // without a mark, or of another channel
	last     int64 // when a measured message came, in nanoseconds since began
}

// A span has the numbers from the first to before the last.
type span struct{ from, to int64 }

func (c *benchCount) listener(i int, own func(stream int64) bool) *benchListener {
	l := &benchListener{count: c, shard: c.shards[i%len(c.shards)], own: own, next: map[int64]int64{}, missing: map[int64][]span{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, l)
	return l
}

func (l *benchListener) hear(data []byte) {
	now := int64(time.Since(l.count.began))
	stream, number, at, ok := readMark(data)
	if !ok || stream >= int64(len(l.count.streams)) || !l.own(stream) {
		l.foreign++
		return
	}
	switch next := l.next[stream]; {
	case number >= next:
		if number > next {
			l.missing[stream] = append(l.missing[stream], span{next, number})
		}
		l.next[stream] = number + 1
	case l.found(stream, number):
		l.disorder++
	default:
		l.repeated++
		return
	}
	l.count.streams[stream].took()
	if l.count.measures(at) {
		l.last = now
		l.shard.record(now - at)
	}
}

// found takes number from the missing ones of a stream, if it is one of them.
func (l *benchListener) found(stream, number int64) bool {
	missing := l.missing[stream]
	for i, s := range missing {
		if number < s.from || number >= s.to {
			continue
		}
		var rest []span
		if s.from < number {
			rest = append(rest, span{s.from, number})
		}
		if number+1 < s.to {
			rest = append(rest, span{number + 1, s.to})
		}
		l.missing[stream] = slices.Replace(missing, i, i+1, rest...)
		return true
	}
	return false
}

func (s *latencyShard) record(ns int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.h.RecordValue(min(max(ns/1000, 1), longestLatency.Microseconds())) // within its bounds
}

// latency is that of all measured deliveries until now.
func (c *benchCount) latency() *hdrhistogram.Histogram {
	all := newLatency()
	for _, s := range c.shards {
		s.addTo(all)
	}
	return all
}

// encore is how long a repeat of the last message is waited for. It takes as long as
// any message, and whoever sends it needs a while to do so.
func (c *benchCount) encore() time.Duration {
	const least, most = 200 * time.Millisecond, time.Second
	p99 := time.Duration(c.latency().ValueAtQuantile(99)) * time.Microsecond
	return min(max(least, 4*p99), most)
}

func (s *latencyShard) addTo(all *hdrhistogram.Histogram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all.Merge(s.h)
}
