package trial

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The table has the best and the median of each server, and the ratio of the
// bests to the floor's.
func TestTableComparesWithTheFloor(t *testing.T) {
	w := Workload{Name: "fan-out", Unit: "µs", Figure: "cpu_us", Beside: []string{"p99_us"}, Goal: 0.6, BesideRatio: 1.1}
	rounds := func(cpu ...float64) (all []Figures) {
		for _, c := range cpu {
			all = append(all, Figures{"cpu_us": c, "p99_us": 1000 * c})
		}
		return all
	}
	of := &Trial{Servers: []Server{{Name: "floor"}, {Name: "ours"}, {Name: "polls"}}, Workloads: []Workload{w}}
	var b strings.Builder
	require.NoError(t, Write(&b, of, []*Result{
		{"floor", "fan-out", rounds(0.5, 0.4, 0.8)},
		{"ours", "fan-out", rounds(0.6, 0.9)},
	}))
	assert.Equal(t, `| workload | floor: best / median | ours: best / median | ratio | polls: best / median | ratio | goal |
|---|--:|--:|--:|--:|--:|--:|
| fan-out, µs | 0.40 / 0.50 | 0.60 / 0.75 | 1.50 |  |  | ≤ 0.6 |
| — p99_us | 400 / 500 | 600 / 750 | 1.50 |  |  | ≤ 1.1 × floor |
`, b.String())
}

// How many messages a frame had is of the round that was best, not the best of all;
// and a goal may be a ratio.
func TestTableTellsHowMuchTheBestRoundBatched(t *testing.T) {
	w := Workload{Name: "fan-out", Unit: "µs", Figure: "cpu_us", Beside: []string{"msgs_frame"}, GoalRatio: 2}
	of := &Trial{Servers: []Server{{Name: "ours"}}, Workloads: []Workload{w}}
	var b strings.Builder
	require.NoError(t, Write(&b, of, []*Result{{"ours", "fan-out", []Figures{
		{"cpu_us": 0.5, "msgs_frame": 10.0}, {"cpu_us": 0.3, "msgs_frame": 24.0}, {"cpu_us": 0.4, "msgs_frame": 12.0},
	}}}))
	assert.Contains(t, b.String(), "| fan-out, µs | 0.30 / 0.40 | ≤ 2 × floor |\n| — msgs_frame | 24.0 / 12.0 |")
}

// A curve is drawn when all of it was measured, and what is no part of one
// becomes bars.
func TestFiguresAreDrawn(t *testing.T) {
	of := &Trial{Servers: []Server{{Name: "floor"}, {Name: "ours"}}, Rounds: 1}
	var all []*Result
	curve := Curves()[0]
	for _, w := range Workloads(time.Second) {
		if !slices.Contains(curve.Workloads, w.Name) && w.Name != "idle" {
			continue
		}
		of.Workloads = append(of.Workloads, w)
		for _, s := range of.Servers {
			all = append(all, &Result{s.Name, w.Name, []Figures{{w.Figure: 0.5}}})
		}
	}
	require.Len(t, of.Workloads, len(curve.Sizes)+1, "each point of the curve is a workload")
	dir := t.TempDir()
	require.NoError(t, Pictures{Dir: dir, Prefix: "x-"}.Draw(of, all))
	require.NoError(t, Pictures{Dir: dir, Only: "^idle|scale, 1 ×$"}.Draw(of, all))
	assert.FileExists(t, filepath.Join(dir, "subscribers.svg"))
	assert.FileExists(t, filepath.Join(dir, "workloads-idle-scale-1.svg"), "named by what it has")
	assert.NoFileExists(t, filepath.Join(dir, "workloads.svg"))
	for file, want := range map[string]string{"x-subscribers.svg": "10000", "x-workloads.svg": "idle, KiB"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		assert.Contains(t, string(text), want)
		assert.Contains(t, string(text), "ours")
		assert.NotContains(t, string(text), "scale", "its workloads are a curve")
	}
	assert.NoFileExists(t, filepath.Join(dir, "x-channels.svg"))
}

func TestEveryPointOfACurveIsAWorkload(t *testing.T) {
	all := Workloads(time.Second)
	for _, c := range Curves() {
		require.Len(t, c.Workloads, len(c.Sizes))
		for _, name := range c.Workloads {
			assert.True(t, slices.ContainsFunc(all, func(w Workload) bool { return w.Name == name }), name)
		}
	}
}

// A measurement that fails is told, and the others are made all the same.
func TestATrialGoesOnAfterAFailure(t *testing.T) {
	broken := Server{Name: "broken", Argv: func(Workload, string, string) []string { return []string{"/does/not/exist"} }}
	var log strings.Builder
	of := &Trial{Programs: new(Programs), Servers: []Server{broken, broken}, Workloads: []Workload{{Name: "w"}}, Rounds: 2, Log: &log}
	all, err := of.Run(t.Context())
	assert.Empty(t, all)
	assert.ErrorContains(t, err, "round 2, w, broken")
	assert.Equal(t, 4, strings.Count(log.String(), "round "))
}

func TestRoundsOfOneServerAreOneResult(t *testing.T) {
	var all []*Result
	for range 3 {
		for _, name := range []string{"a", "b"} {
			all = add(all, Server{Name: name}, Workload{Name: "w"}, Figures{})
		}
	}
	require.Len(t, all, 2)
	assert.Len(t, all[1].Rounds, 3)
}

// Where more is better the best is the most, and the goal a lower bound.
func TestTheBestIsTheMostWhereMoreIsBetter(t *testing.T) {
	w := ClientWorkloads(time.Second)[0]
	of := &Trial{Servers: []Server{{Name: "client"}}, Workloads: []Workload{w}}
	var b strings.Builder
	require.NoError(t, Write(&b, of, []*Result{{"client", w.Name, []Figures{{"msgs_s": 3e6}, {"msgs_s": 1e6}, {"msgs_s": 2e6}}}}))
	assert.Contains(t, b.String(), "| 3000000 / 2000000 | ≥ 1000000 |")
}

func TestSlowWorkloadsRunOnlyWhenNamed(t *testing.T) {
	all := Workloads(time.Second)
	some, err := Matching(all, "")
	require.NoError(t, err)
	assert.NotEmpty(t, some)
	for _, w := range some {
		assert.False(t, w.Slow, w.Name)
	}
	some, err = Matching(all, "^scale, 1 × 10$")
	require.NoError(t, err)
	assert.Len(t, some, 1)
	_, err = Matching(all, "(")
	assert.Error(t, err)
}

func TestNothingIsPinnedWhereCoresAreFew(t *testing.T) {
	c, err := newCores(2, []int{0, 1})
	require.NoError(t, err)
	assert.Equal(t, []string{"x"}, c.pin(c.server, []string{"x"}))
	assert.Equal(t, "GOMAXPROCS=2, not pinned", c.String())
	_, err = newCores(0, []int{0, 1})
	assert.Error(t, err)
}

// A server and the load are put on cores that this process may use.
func TestCoresAreThoseOfThisProcess(t *testing.T) {
	for list, want := range map[string][]int{"0-1": {0, 1}, "5": {5}, "2,4-6,9": {2, 4, 5, 6, 9}} {
		cores, err := allowedCores("Name:\tx\nCpus_allowed:\t3\nCpus_allowed_list:\t" + list + "\nMems_allowed:\t1\n")
		require.NoError(t, err)
		assert.Equal(t, want, cores)
	}
	_, err := allowedCores("Name:\tx\n")
	assert.Error(t, err)
	c, err := newCores(2, []int{3, 5, 7})
	require.NoError(t, err)
	assert.Equal(t, "GOMAXPROCS=2, the server on core 3,5, the load on core 7", c.String())
	assert.Equal(t, []string{"taskset", "-c", "3,5", "x"}, c.pin(c.server, []string{"x"}))
}

// Every round is told, in its order.
func TestEveryRoundIsTold(t *testing.T) {
	w := Workload{Name: "fan-out", Unit: "µs", Figure: "cpu_us", Beside: []string{"p99_us"}}
	of := &Trial{Servers: []Server{{Name: "floor"}, {Name: "polls"}}, Workloads: []Workload{w}}
	var b strings.Builder
	require.NoError(t, WriteRounds(&b, of, []*Result{{"floor", "fan-out", []Figures{{"cpu_us": 0.5, "p99_us": 120.0}, {"cpu_us": 0.25, "p99_us": 99.0}}}}))
	assert.Equal(t, `
<details><summary>every round</summary>

| workload | floor | polls |
|---|---|---|
| fan-out, µs | 0.50 0.25 | |
| — p99_us | 120 99.0 | |

</details>
`, b.String())
}

// With several cores the table says how many were busy, and the figures of other
// kinds stay as they are.
func TestTheUseOfCoresIsShown(t *testing.T) {
	for _, w := range OnCores(Workloads(time.Second)) {
		assert.Equal(t, w.Figure == "cpu_us", slices.Contains(w.Beside, "busy"), w.Name)
		assert.Equal(t, w.Figure == "cpu_us" && w.Name != "sessions", slices.Contains(w.Beside, "msgs_s"), w.Name)
	}
}

// A server listens when it says so for the first time, whatever else it says.
func TestAServerIsReadyOnce(t *testing.T) {
	ready := make(chan struct{})
	new(process).read(strings.NewReader("starting\nlistening on http://127.0.0.1:1\nready 127.0.0.1:1\n"), ready)
	<-ready
}
