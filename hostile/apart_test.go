package hostile_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocometd/cometd/server"
)

const everything = "all of them at once"

// measured is for how long healthy clients are watched at a time, quiet and
// under each assault: HOSTILE_TIME, such as 10s.
func measured() time.Duration {
	d, err := time.ParseDuration(os.Getenv("HOSTILE_TIME"))
	if err != nil {
		return 10 * time.Second
	}
	return d
}

// smoke is a run that measures nothing: each assault once, for a moment, several
// at a time.
func smoke() bool { return os.Getenv("HOSTILE_SMOKE") != "" }

// A server, its attackers and its healthy clients in three processes: prints
// what the healthy clients went through, what the attackers achieved, and what
// the server had, under each assault. It fails where a message is missing,
// attackers achieve nothing, memory is over the ceiling of that assault, or
// something is left over; the delays are figures of the machine. Quiet and
// assault alternate, HOSTILE_ROUNDS times, with a third state between them:
// another server on the same core is under that assault, and this one is not.
// What is late then, the machine makes late.
func TestHealthyClientsWhileAServerElsewhereIsAttacked(t *testing.T) {
	if os.Getenv("HOSTILE_SERVER") == "" {
		t.Skip("HOSTILE_SERVER is not set: see scripts/hostile")
	}
	var mu sync.Mutex
	var delays, achieved []string
	t.Cleanup(func() {
		if !smoke() {
			fmt.Printf("\nDelays are p50 / p99 in ms, each the median of the rounds.\n\n%s%s\n", delaysHeader, strings.Join(delays, "\n"))
		}
		fmt.Printf("\nWhat attackers did and saw, per second.\n\n%s%s\n", deedsHeader, strings.Join(achieved, "\n"))
	})
	for _, a := range append(slices.Clone(assaults), all()) {
		t.Run(a.name, func(t *testing.T) {
			if smoke() {
				t.Parallel()
			}
			row, did := underAssault(t, a)
			mu.Lock()
			defer mu.Unlock()
			delays, achieved = append(delays, row), append(achieved, "| "+a.name+" | "+did.String()+" |")
		})
	}
}

// all is all assaults at once. Some of them keep others out.
func all() assault {
	a := assault{name: everything, achieved: func(d deeds, _ server.Stats) bool { return d.Answered > 0 && d.Refused > 0 }}
	for _, one := range assaults {
		a.holds = a.holds.and(one.holds)
	}
	a.holds = a.holds.within()
	return a
}

const (
	delaysHeader = `| attack | WebSocket, quiet | attacked | p99 × | another attacked | long-polling, quiet | attacked | p99 × | another attacked | server's CPU | most memory, MiB | its ceiling | sessions, descriptors, goroutines before | after |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`
	deedsHeader = `| attack | connections | KiB sent | answered | refused | cut off | given up |
|---|--:|--:|--:|--:|--:|--:|
`
)

// underAssault gives a row of the table of delays, and what the attackers did.
func underAssault(t *testing.T, a assault) (row string, did deeds) {
	s, other := serveElsewhere(t), serveElsewhere(t)
	c := accompany(s)
	time.Sleep(time.Second) // what happens only once is over
	before, ceiling := s.use(), a.holds.ceiling(s.peak())
	var after usage
	var w watch
	var busy time.Duration
	for range number("HOSTILE_ROUNDS", 3) {
		if !smoke() {
			w.quiet(c.listen())
			other.attacked(a.name, func() { w.aside(c.listen()) })
		}
		begin := s.cpu()
		deeds := s.attacked(a.name, func() { w.attacked(c.listen()) })
		busy += s.cpu() - begin
		for _, d := range deeds {
			d.Took /= time.Duration(len(deeds)) // they took it together
			did = did.and(d)
		}
		c.await(1)
		require.Eventually(t, func() bool {
			after = s.use()
			return after.within(before) && after.files <= before.files
		}, time.Minute, 100*time.Millisecond, "something is left")
	}
	c.check()
	assert.Empty(t, s.last.Failed, "the server has failed")
	peak := s.peak()
	assert.LessOrEqual(t, peak, ceiling, "the most memory, and the most that %+v explains", a.holds)
	assert.True(t, a.achieved(did, s.last.Stats), "the attackers have achieved nothing: %+v, limits met: %v", did, s.last.Limited)
	row = fmt.Sprintf("| %s | %s | %.0f%% | %d | %d | %d, %d, %d | %d, %d, %d |", a.name, w, 100*busy.Seconds()/did.Took.Seconds(), peak>>20, ceiling>>20,
		before.sessions, before.files, before.goroutines, after.sessions, after.files, after.goroutines)
	t.Log(row)
	return row, did
}

// A watch is what healthy clients went through, round for round, over each
// transport.
type watch struct {
	before, beside, under [2][]spell
}

// A spell is the delays of one period.
type spell struct{ p50, p99 time.Duration }

func (w *watch) quiet(took [2][]time.Duration)    { keep(&w.before, took) }
func (w *watch) aside(took [2][]time.Duration)    { keep(&w.beside, took) }
func (w *watch) attacked(took [2][]time.Duration) { keep(&w.under, took) }

func keep(rounds *[2][]spell, took [2][]time.Duration) {
	for i := range took {
		rounds[i] = append(rounds[i], spell{percentile(took[i], 50), percentile(took[i], 99)})
	}
}

// String is a part of a row of the table.
func (w watch) String() string {
	var cells []string
	for i := range w.before {
		cells = append(cells, typical(w.before[i]), typical(w.under[i]), times(w.under[i], w.before[i]), times(w.beside[i], w.before[i]))
	}
	return strings.Join(cells, " | ")
}

// times is how many times the p99 of quiet that of another state is.
func times(rounds, quiet []spell) string {
	var all []float64
	for i, q := range quiet {
		all = append(all, float64(rounds[i].p99)/float64(max(q.p99, 1)))
	}
	return fmt.Sprintf("%.1f", median(all))
}

// typical is the medians of p50 and p99.
func typical(rounds []spell) string {
	var p50, p99 []float64
	for _, s := range rounds {
		p50, p99 = append(p50, s.p50.Seconds()*1e3), append(p99, s.p99.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f / %.2f", median(p50), median(p99))
}

// median is 0 of nothing.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// percentile is the delay that 100-n of a hundred exceed.
func percentile(all []time.Duration, n int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[(len(all)*n-1)/100]
}
