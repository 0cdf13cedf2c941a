package trial

import (
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
	w := Workload{Name: "fan-out", Unit: "µs", Figure: "cpu_us", Beside: []string{"p99_us"}, Goal: 0.6, GoalRatio: 1.1}
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

func TestSlowWorkloadsRunOnlyWhenNamed(t *testing.T) {
	all := Workloads(time.Second)
	some, err := Matching(all, "")
	require.NoError(t, err)
	assert.Len(t, some, len(all)-1)
	some, err = Matching(all, "after a GC")
	require.NoError(t, err)
	assert.Len(t, some, 1)
	_, err = Matching(all, "(")
	assert.Error(t, err)
}

func TestNothingIsPinnedWhereCoresAreFew(t *testing.T) {
	c, err := NewCores(2, 2)
	require.NoError(t, err)
	assert.Equal(t, []string{"x"}, c.pin(c.server, []string{"x"}))
	assert.Equal(t, "GOMAXPROCS=2, not pinned", c.String())
	_, err = NewCores(0, 2)
	assert.Error(t, err)
}
